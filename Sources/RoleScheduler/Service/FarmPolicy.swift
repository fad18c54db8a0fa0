import RoleSchedulerCore

/// The policy that an operator has applied to a farm of several control nodes, as it lies in the farm's record: its text
/// as it was brought, and who brought it; or that somebody has released the farm from the one before. What the text means
/// each node reads out of it for itself.
public struct FarmPolicy: Hashable, Sendable, Codable {
    /// Of the farm's policies, from 1: by it nodes that run know a record of a restored backup for the older one.
    public var number: UInt64
    /// Empty: each node goes by its own file again.
    public var text: String
    /// The first digits of the text's SHA-256, by which people and the history tell texts apart.
    public var digest: String
    public var by: String
    /// Empty when none was given.
    public var reason: String
    /// When, in seconds since 1970.
    public var unixTime: Int64
    /// The control node that took it.
    public var node: String

    /// In octets. The record is written whole for every move, and etcd takes 1.5 MB at once.
    public static let longest = 256 << 10

    public init(
        number: UInt64 = 1, text: String, digest: String, by operator: String, reason: String,
        unixTime: Int64,
        node: String
    ) {
        (self.number, self.text, self.digest) = (number, text, digest)
        (self.by, self.reason) = (`operator`, reason)
        (self.unixTime, self.node) = (unixTime, node)
    }

    /// Whether it is no policy but the end of one. It keeps its number: else a restored backup could bring the old one back.
    public var isRelease: Bool { text.isEmpty }
}

/// Which policy a control node goes by: the farm's, once one was applied to it, and until then that of its own file. A
/// value that records and re-read files change; it reads nothing itself.
struct FollowedPolicy: Sendable {
    /// Of the node's own file.
    private(set) var file: Policy
    /// What the farm's record says: the policy that was applied last, or that it was released; nil while none was applied.
    private(set) var record: FarmPolicy?
    /// What is gone by.
    private(set) var policy: Policy
    /// Why the farm's policy cannot be gone by, as when a newer program took it: file, line and column of every fault.
    /// Empty when there is no such thing.
    private(set) var trouble = ""

    init(file: Policy) {
        (self.file, policy) = (file, file)
    }

    /// Of the farm; nil while each node goes by its own file.
    var farm: FarmPolicy? { record.flatMap { $0.isRelease ? nil : $0 } }

    /// Whether the file is there, means something else than the farm's policy, and so is not gone by.
    var fileDiffers: Bool { farm != nil && trouble.isEmpty && file != policy }

    /// The node's own file says something else now.
    mutating func reread(_ file: Policy) {
        self.file = file
        if farm == nil { policy = file } else { policy.staticLabels = file.staticLabels }
    }

    /// Of what the record says; 0 while that is nothing.
    var number: UInt64 { record?.number ?? 0 }

    /// Takes what the farm's record says, unless that is older than what is known, as after a restored backup. What cannot
    /// be read leaves in force what was.
    /// - Returns: whether it is another than before.
    mutating func take(_ record: FarmPolicy?) -> Bool {
        guard record != self.record, record?.number ?? 0 >= number else { return false }
        (self.record, trouble) = (record, "")
        guard let farm else {
            policy = file
            return true
        }
        do throws(PolicyErrors) {
            var read = try parsePolicy(farm.text, file: "policy \(farm.digest)").policy
            read.staticLabels = file.staticLabels
            if read.zone == file.zone {
                policy = read
            } else {
                trouble = "policy \(farm.digest) is for '\(read.zone)', not for '\(file.zone)'"
            }
        } catch {
            trouble = error.description
        }
        return true
    }
}
