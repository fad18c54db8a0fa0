import AuthDNSCore
import RoleSchedulerCore
import ZoneFile

/// A zone file that was read and held against a policy; faults and warnings went to standard error.
struct CheckedZone {
    let zone: StaticZone
    /// Labels directly under the zone that the file has records for: no machine may be called so.
    let staticLabels: Set<String>

    /// - Parameter mail: what else is published beside the file; nil for nothing.
    /// - Throws: `Report.badInput` for a faulty file and for one that contradicts the policy.
    init(at path: String, for policy: Policy, mail: MailRecordOptions?) throws {
        let zone: StaticZone
        do throws(ZoneFileError) {
            let loaded = try loadZone(at: path, origin: DomainName(policy.zone))
            zone = loaded.zone
            if zone.apex.description == policy.zone {
                for warning in try loaded.check(against: policy.everyName) {
                    Report.note(warning.description)
                }
            }
        } catch {
            Report.note(error.description)
            throw Report.badInput
        }
        guard zone.apex.description == policy.zone else {
            throw Report.failure(
                "\(path) is zone '\(zone.apex)', but the policy says '\(policy.zone)'",
                status: Report.badInput)
        }
        self.zone = try mail?.adding(to: zone, at: path) ?? zone
        let apex = zone.apex
        staticLabels = Set(
            zone.records.filter { $0.owner.parent == apex }.map {
                String($0.owner.description.prefix { $0 != "." })
            })
    }
}
