/// What a farm saw over a time, to be lived through again by another policy: one value per line of a file
/// of JSON lines, in the order of time. Of the numbers only those that come from outside are replayed;
/// the backlog follows from what the policy sends.
public struct Trace: Hashable, Sendable {
    /// One line: a number (`signal` and `value`), or a machine that went `down` or came `up`.
    public struct Line: Hashable, Sendable, Codable {
        /// Seconds from the start of the mailing, not negative.
        public var at: Double
        /// "bounces.arrival" and "unsubscribes.arrival" in items per second, which hold until the next
        /// such line; others are kept and not replayed.
        public var signal: String?
        public var value: Double?
        /// The number of the machine, from 1.
        public var down: Int?
        public var up: Int?

        public init(at: Double, signal: String, value: Double) {
            self.at = at
            self.signal = signal
            self.value = value
        }

        /// - Parameter isDown: else it came up.
        public init(at: Double, machine: Int, isDown: Bool) {
            self.at = at
            if isDown { down = machine } else { up = machine }
        }

        /// What is wrong with it, in words; nil when nothing is.
        public var fault: String? {
            guard at.isFinite, (0...1e6).contains(at) else { return "'at' is not 0 to 1000000 s" }
            if let machine = down ?? up {
                guard signal == nil, value == nil, down == nil || up == nil else {
                    return "one of 'signal', 'down' and 'up' is enough"
                }
                return (1...10_000).contains(machine) ? nil : "machines are 1 to 10000"
            }
            guard signal != nil, let value else {
                return "'signal' needs a 'value', or say 'down' or 'up'"
            }
            return value.isFinite && (0...1e12).contains(value) ? nil : "'value' is not 0 to 1e12"
        }
    }

    /// Seconds for which the last numbers hold.
    static let lastHolds = 60

    /// Sorted by time.
    public private(set) var lines: [Line]

    /// - Parameter lines: without faults; sorted here, lines of one moment keep their order.
    public init(_ lines: [Line]) { self.lines = lines.sorted { $0.at < $1.at } }

    /// Whether it tells what came in.
    var tellsArrivals: Bool {
        lines.contains { $0.signal == "bounces.arrival" || $0.signal == "unsubscribes.arrival" }
    }

    /// The last second of it.
    var length: Int { Int(lines.last?.at ?? 0) }

    /// The trace that a simulated run would have left.
    public init(of outcome: Outcome) {
        self.init(
            outcome.minutes.flatMap { minute in
                let at = Double(max(minute.second - 60, 0))
                return [
                    Line(at: at, signal: "bounces.arrival", value: minute.bounces),
                    Line(at: at, signal: "unsubscribes.arrival", value: minute.clicks),
                ]
            })
    }
}

/// A trace that is being lived through: what it says at the present second.
struct Replay {
    private let trace: Trace
    private var next = 0
    private(set) var bounces = 0.0
    private(set) var clicks = 0.0
    /// Numbers of the machines that are down.
    private(set) var down: Set<Int> = []

    init(_ trace: Trace) { self.trace = trace }

    /// Takes up every line until the end of `second`.
    mutating func step(_ second: Int) {
        while next < trace.lines.count, trace.lines[next].at < Double(second + 1) {
            let line = trace.lines[next]
            next += 1
            if let machine = line.down { down.insert(machine) }
            if let machine = line.up { down.remove(machine) }
            switch line.signal {
            case "bounces.arrival": bounces = line.value ?? bounces
            case "unsubscribes.arrival": clicks = line.value ?? clicks
            default: break
            }
        }
    }
}
