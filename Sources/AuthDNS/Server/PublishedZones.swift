import AuthDNSCore
import Synchronization

/// What is served now, handed from those who change it to the threads that answer: the image of each zone, how it
/// came about, who may have it whole, and what replies say about the server itself. A reader keeps its own references
/// and looks at the generation once per batch: no lock and no reference count while nothing changes.
final class PublishedZones: Sendable {
    private let generation = Atomic<UInt64>(1)
    private let served: Mutex<Served>

    /// One zone as it is served.
    struct Zone {
        var image: ZoneImage
        var history: ZoneHistory
    }

    private struct Served {
        /// The farm's first.
        var zones: [Zone]
        var peers: TransferPeers
        var settings: AnswerSettings

        var view: (ZoneImage, [ZoneImage], AnswerSettings) {
            (zones[0].image, zones.dropFirst().map(\.image), settings)
        }
    }

    /// How often somebody told of a new version.
    let notifications = Atomic<UInt64>(0)

    /// - Parameter zones: at least one, the farm's first; none within another.
    init(_ zones: [Zone], _ peers: TransferPeers, _ settings: AnswerSettings) {
        served = Mutex(Served(zones: zones, peers: peers, settings: settings))
    }

    /// What is served of the zone with this number.
    func current(_ number: Int) -> ZoneImage { served.withLock { $0.zones[number].image } }

    func replace(_ number: Int, with new: Zone) {
        served.withLock { $0.zones[number] = new }
        generation.wrappingAdd(1, ordering: .releasing)
    }

    /// What answers a transfer or a signed query now: by the zone that it asks about, or by the first.
    func responder(to query: [UInt8]) -> PeerResponder {
        served.withLock { served in
            let asked = served.zones.dropFirst().first { $0.image.isAsked(in: query) }
            let zone = asked ?? served.zones[0]
            return PeerResponder(
                peers: served.peers, image: zone.image, history: zone.history,
                settings: served.settings)
        }
    }

    /// Somebody told of a new version. Any thread.
    func noteNotify() { notifications.wrappingAdd(1, ordering: .relaxed) }

    func change<Result: Sendable>(_ body: (inout AnswerSettings) -> Result) -> Result {
        let result = served.withLock { body(&$0.settings) }
        generation.wrappingAdd(1, ordering: .releasing)
        return result
    }

    /// One thread's view.
    struct View {
        private var seen: UInt64
        private(set) var image: ZoneImage
        /// Of the zones behind the first.
        private(set) var others: [ZoneImage]
        private(set) var settings: AnswerSettings

        init(_ published: PublishedZones) {
            seen = published.generation.load(ordering: .acquiring)
            (image, others, settings) = published.served.withLock { $0.view }
        }

        /// Whether nothing was replaced since.
        func isCurrent(_ published: PublishedZones) -> Bool {
            published.generation.load(ordering: .acquiring) == seen
        }

        mutating func refresh(_ published: PublishedZones) {
            let now = published.generation.load(ordering: .acquiring)
            guard now != seen else { return }
            (image, others, settings) = published.served.withLock { $0.view }
            seen = now
        }
    }
}
