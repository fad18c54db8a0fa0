import EtcdProtocol
import Foundation
import SwiftProtobuf

/// The conditions and steps of transactions, in words.
extension Etcdserverpb_Compare {
    /// The key is the one that was made at this revision; 0: there is none.
    static func madeAt(_ key: Data, _ revision: Int64) -> Self {
        .with {
            $0.key = key
            ($0.target, $0.result, $0.createRevision) = (.create, .equal, revision)
        }
    }

    /// The key was last written at this revision; 0: there is none.
    static func changedAt(_ key: Data, _ revision: Int64) -> Self {
        .with {
            $0.key = key
            ($0.target, $0.result, $0.modRevision) = (.mod, .equal, revision)
        }
    }
}

extension Etcdserverpb_RequestOp {
    /// - Parameter lease: with whose end the key goes; 0 for none.
    static func put(_ key: Data, _ value: Data, lease: Int64 = 0) -> Self {
        .with { $0.requestPut = .with { ($0.key, $0.value, $0.lease) = (key, value, lease) } }
    }

    static func get(_ key: Data) -> Self {
        .with { $0.requestRange = .with { $0.key = key } }
    }

    static func delete(_ key: Data, upTo end: Data) -> Self {
        .with { $0.requestDeleteRange = .with { ($0.key, $0.rangeEnd) = (key, end) } }
    }
}
