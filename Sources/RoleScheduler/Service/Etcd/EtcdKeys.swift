import Farm
import Foundation

/// The keys of one farm in etcd. What everybody watches lies below `live/`; the history does not.
struct EtcdKeys: Sendable {
    let live: String
    let record: Data
    let leader: Data
    let history: String
    private let node: String

    /// - Parameter prefix: "/smurf/<zone>".
    init(prefix: String) {
        live = prefix + "/live/"
        record = Data((live + "record").utf8)
        leader = Data((live + "leader").utf8)
        node = live + "node/"
        history = prefix + "/history/"
    }

    func node(_ name: String) -> Data { Data((node + name).utf8) }

    /// Whose key it is; nil when it is another.
    func node(of key: Data) -> String? {
        let text = String(decoding: key, as: UTF8.self)
        return text.hasPrefix(node) ? String(text.dropFirst(node.count)) : nil
    }

    /// The key of entries that were made together, by the number of the first. Keys are in the order of their numbers.
    func entry(_ number: UInt64) -> Data {
        let digits = String(number)
        return Data((history + String(repeating: "0", count: 20 - digits.count) + digits).utf8)
    }
}
