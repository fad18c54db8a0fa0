public import AuthDNSCore
import Synchronization

/// The name server as a secondary (RFC 9499 §7): the zone comes from another server, and is served as it is for as long
/// as that one wanted. Who fetches it, and when, is not said here.
extension NameServer {
    /// Times and serial of the zone that is served; nil when none ever came.
    public var secondarySOA: ResourceRecord? {
        zone.source.withLock { $0.hasCome } ? image.soa : nil
    }

    /// Serves a version that came whole.
    /// - Throws: when its records contradict each other; what was served before stays.
    public func take(_ content: ZoneContent) throws(NameServerError) {
        try serve { _ throws(ZoneFault) in content }
    }

    /// Serves the version that `steps` lead to.
    /// - Throws: when they do not lead from the version that is served.
    public func take(_ steps: [ZoneDifference]) throws(NameServerError) {
        try serve { current throws(ZoneFault) in
            var content = current
            for step in steps { content = try content.applying(step) }
            return content
        }
    }

    /// Whether the zone may be answered with: it may not once it has expired (RFC 1035 §4.3.5).
    /// - Returns: whether that is a change.
    @discardableResult
    public func setServing(_ isServing: Bool) -> Bool {
        published.change { settings in
            defer { settings.isServing = isServing }
            return settings.isServing != isServing
        }
    }

    /// A primary has said that what is served is what it has.
    public func noteContact() { zone.store.touch() }

    /// How long ago that was, earlier runs counted; zero when it never was.
    public var silence: Duration { .seconds(zone.store.age(unixTime: Clock.unixTime()) ?? 0) }

    /// How often one of the primaries told of a new version.
    public var notifications: UInt64 { published.notifications.load(ordering: .relaxed) }

    private func serve(
        _ make: (ZoneContent) throws(ZoneFault) -> ZoneContent
    ) throws(NameServerError) {
        let result: Result<Void, NameServerError> = zone.source.withLock { source in
            do {
                let current = image
                let content = try make(current.content)
                guard let serial = content.serial else {
                    throw ZoneFault("the zone has no SOA record")
                }
                let image = try ZoneImage(content, serial: serial, before: current)
                try zone.publish(image, &source)
                source.hasCome = true
                return .success(())
            } catch {
                return .failure(NameServerError("\(error)"))
            }
        }
        try result.get()
        setServing(true)
    }
}
