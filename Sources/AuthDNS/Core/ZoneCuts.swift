/// Where a zone is delegated onwards (RFC 9499 §7, "zone cut"): what is at a cut is partly, and what is below it
/// wholly, another zone's.
struct ZoneCuts {
    private let apex: DomainName
    private let names: Set<DomainName>

    init(_ content: ZoneContent) {
        apex = content.apex
        names = Set(content.owners.dropFirst().lazy.filter(\.hasServers).map(\.name))
    }

    func contains(_ name: DomainName) -> Bool { names.contains(name) }

    /// Whether a cut lies above the name.
    func areAbove(_ name: DomainName) -> Bool {
        if names.isEmpty { return false }
        var ancestor = name.parent
        while let current = ancestor, current.isWithin(apex) {
            if names.contains(current) { return true }
            ancestor = current.parent
        }
        return false
    }
}
