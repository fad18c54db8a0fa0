import AuthDNSCore

/// A history of zones that the octets of an input write: whoever has an older version and takes what the history
/// says is removed and added has the newest version, whichever it starts from and however little is kept.
enum TransferCheck {
    static func run(_ bytes: [UInt8]) {
        var choices = Choices(bytes)
        var limit = ZoneHistory.Limit()
        limit.steps = choices.next() % 16 + 1
        limit.records = choices.next() + 1
        // From either end of the circle of serials.
        var serial: UInt32 = [1, 0x7FFF_FFF0, 0xFFFF_FFF0, 0][choices.next() & 3]
        var members: Set<UInt8> = [1, 2, 3]
        var history = ZoneHistory(limit: limit)
        var versions = [image(serial, members)]
        while !choices.isEmpty, versions.count < 24 {
            for _ in 0...(choices.next() & 7) {
                let member = UInt8(choices.next())
                if members.remove(member) == nil { members.insert(member) }
            }
            serial &+= UInt32(choices.next() % 9 + 1)
            let next = image(serial, members)
            history.append(ZoneDifference(from: versions[versions.count - 1], to: next))
            versions.append(next)
        }
        let newest = versions[versions.count - 1]
        for old in versions.dropLast() {
            guard let step = history.difference(from: old.serial) else { continue }
            var zone = Set(old.records)
            for record in [step.from] + step.removed { precondition(zone.remove(record) != nil) }
            for record in [step.to] + step.added { precondition(zone.insert(record).inserted) }
            precondition(zone == Set(newest.records) && history.leads(to: newest.serial))
        }
        precondition(ZoneDifference.read(history.steps.flatMap(\.saved)) == history.steps)
        _ = ZoneDifference.read(bytes)
    }

    private static func image(_ serial: UInt32, _ members: Set<UInt8>) -> ZoneImage {
        let addresses = members.sorted().map {
            ResourceRecord(
                owner: FuzzZone.name("w\($0 % 16).f.test"), type: .a, ttl: 60,
                data: [127, 0, 0, $0])
        }
        return FuzzZone.made {
            try ZoneImage(
                apex: FuzzZone.apex, serial: serial, version: 1,
                records: [FuzzZone.soa(serial)] + FuzzZone.records.prefix(1) + addresses)
        }
    }
}
