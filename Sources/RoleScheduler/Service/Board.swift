public import Farm
public import RoleSchedulerCore

/// The farm as an operator sees it at one moment: a value made for showing.
public struct Board: Hashable, Sendable {
    public var version: UInt64
    /// The phase that holds; nil for none.
    public var phase: String?
    public var roles: [RoleLine]
    public var smurfs: [SmurfLine]
    public var signals: [SignalLine]
    /// Alarms, and why nothing moves.
    public var notes: [String]
    /// Who leads among several control nodes; nil for one that is alone.
    public var standing: Standing?

    public struct RoleLine: Hashable, Sendable {
        public var rule: RolePolicy
        public var target: Int
        /// Answered in DNS now.
        public var serving: [SmurfID]
        public var because: String
    }

    public struct SmurfLine: Hashable, Sendable {
        public var id: SmurfID
        public var record: SmurfRecord
        public var isHeld: Bool
        /// Heard of, or not expected to be, and ready for what it serves.
        public var isUp: Bool
        public var secondsInState: Double
        public var connections: Int
        /// Work units per second.
        public var rate: Double
        /// What operators ordered and what still holds.
        public var words: [OperatorWord]
        /// What it waits for, or why it is not fit although it is heard; empty when there is nothing to say.
        public var trouble: String
    }

    public struct SignalLine: Hashable, Sendable {
        public var name: String
        /// nil when it was never seen.
        public var value: Double?
        public var ageSeconds: Double
    }
}

/// What a machine is to do, as sent to its agent.
public struct Order: Hashable, Sendable {
    public var role: Role?
    public var service: Service
    public var state: SmurfRecord.State
    public var isHeld: Bool
    public var version: UInt64
}

/// Why an operator's word was not taken.
public struct OverrideError: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    init(_ description: String) { self.description = description }
}
