import AuthDNSCore
import Farm
import Foundation
import Logging

/// A zone as it is found at the start: the saved image, if it is of this zone, else one of the zone file alone; what
/// it was made of, and where the next ones are saved.
struct SavedZone {
    let store: ImageStore
    private(set) var source: ZoneSource
    private(set) var image: ZoneImage

    /// - Parameters:
    ///   - zone: the static part of the farm's zone.
    ///   - network: whose reverse zone it is; nil for the farm's zone itself.
    /// - Throws: when the state directory cannot be read or written, or the keys.
    init(
        _ configuration: NameServerConfiguration, _ zone: StaticZone, reverseOf network: Network?,
        _ logger: Logger
    ) throws(NameServerError) {
        let apex = try SavedZone.apex(zone, network)
        let directory = try SavedZone.directory(configuration, apex, isOwn: network == nil)
        store = ImageStore(directory: directory)
        let saved = SavedZone.saved(apex, store, logger)
        // What was published counts, not what the file says: on a circle either can seem newer.
        let reserved = SavedZone.reservedSerial(store, logger)
        let last = reserved ?? saved?.serial ?? SOAData(zone.soa.data)?.serial ?? 0
        if configuration.signing == nil, let saved, !configuration.isSecondary {
            SavedZone.warnOfSignatures(in: saved, logger)
        }
        let signing = try configuration.signing.map { settings throws(NameServerError) in
            try ZoneSigning(settings, zone: apex)
        }
        source = try ZoneSource(
            zone, reverseOf: network, saved: saved, serial: last,
            journal: Journal(directory: directory), signing: signing)
        // A saved image may be behind what signing demands now.
        if configuration.isSecondary, let saved {
            image = saved
            return
        }
        // The last run may have published more than it could save, under serials that are gone.
        let made = try source.image(
            unixTime: Clock.unixTime(), after: saved,
            isSameEnough: saved != nil && reserved == saved?.serial)
        guard let image = made ?? saved else {
            throw NameServerError("there is nothing to answer with")
        }
        self.image = image
        if made != nil, !configuration.isSecondary {
            try save(hasSaved: saved != nil, logger)
        }
        if made != nil, let saved, !configuration.peers.peers.isEmpty {
            source.remember(ZoneDifference(from: saved, to: image), logger)
        }
    }

    private static func apex(
        _ zone: StaticZone, _ network: Network?
    ) throws(NameServerError) -> DomainName {
        do throws(ZoneFault) {
            return try ZoneSource.content(of: zone, reverseOf: network).apex
        } catch {
            throw NameServerError(error.description)
        }
    }

    /// Where a zone's files are: those of the farm's own zone in the state directory itself.
    private static func directory(
        _ configuration: NameServerConfiguration, _ apex: DomainName, isOwn: Bool
    ) throws(NameServerError) -> String {
        guard !isOwn else { return configuration.stateDirectory }
        let name = apex.description.replacing("/", with: "_")
        let path = "\(configuration.stateDirectory)/reverse/\(name)"
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true)
        } catch {
            throw NameServerError("cannot make \(path): \(error.localizedDescription)")
        }
        return path
    }

    private static func saved(
        _ apex: DomainName, _ store: ImageStore, _ logger: Logger
    ) -> ZoneImage? {
        do throws(NameServerError) {
            let saved = try store.load()
            return saved?.apex == apex ? saved : nil
        } catch {
            logger.error("the saved image is unreadable; starting from the zone file: \(error)")
            return nil
        }
    }

    private static func warnOfSignatures(in saved: ZoneImage, _ logger: Logger) {
        guard saved.records.contains(where: { $0.type == .dnskey }) else { return }
        logger.warning(
            """
            \(saved.apex) was signed and is not any more: if its parent has DS records, resolvers refuse it; start with \
            --dnssec and say 'smurf zone unsign'
            """)
    }

    /// - Throws: when nothing was ever saved, and cannot be. Otherwise a full disk is no reason not to answer.
    private func save(hasSaved: Bool, _ logger: Logger) throws(NameServerError) {
        do throws(NameServerError) {
            try store.reserve(image.serial)
            try store.save(image)
        } catch {
            guard hasSaved else { throw error }
            logger.error("the zone cannot be saved: \(error)")
        }
    }

    private static func reservedSerial(_ store: ImageStore, _ logger: Logger) -> UInt32? {
        do throws(NameServerError) {
            return try store.reservedSerial()
        } catch {
            logger.error("the saved serial is unreadable; going on from the clock: \(error)")
            return nil
        }
    }
}
