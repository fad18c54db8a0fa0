public import Farm
import RoleSchedulerCore

/// Who waits for orders, and what each was ordered last. It decides no order and knows no connection: it compares what a
/// machine is ordered now with what it was told, and passes on what differs.
struct OrderBook: Sendable {
    private struct Waiting {
        var id: SmurfID
        var told: Order
        var orders: AsyncStream<Order>.Continuation
    }

    private var waiting: [UInt64: Waiting] = [:]
    private var last: UInt64 = 0
    /// As they were when orders were passed on last; nil when all are to be looked at.
    var machines: [SmurfID: SmurfRecord]?
    /// How many orders were passed on because they had changed.
    private(set) var changes: UInt64 = 0

    var count: Int { waiting.count }

    /// Begins to wait with what the machine is ordered now.
    /// - Returns: the number under which `remove` ends it.
    mutating func add(
        _ id: SmurfID, _ now: Order, _ orders: AsyncStream<Order>.Continuation
    ) -> UInt64 {
        last += 1
        waiting[last] = Waiting(id: id, told: now, orders: orders)
        orders.yield(now)
        return last
    }

    mutating func remove(_ number: UInt64) { waiting[number] = nil }

    /// Passes on every order that has changed.
    /// - Parameter order: what a machine is ordered now; asked once for each that waits.
    mutating func tell(_ order: (SmurfID) -> Order) {
        // By index, so that nothing is copied when, as most often, nothing has changed.
        var index = waiting.startIndex
        while index < waiting.endIndex {
            let one = waiting.values[index]
            let now = order(one.id)
            if !now.asksTheSame(as: one.told) {
                waiting.values[index].told = now
                one.orders.yield(now)
                changes += 1
            }
            waiting.formIndex(after: &index)
        }
    }
}

extension Order {
    /// The membership's version goes with an order, and asks for nothing by itself: when somebody else moves, a machine
    /// is not told.
    func asksTheSame(as other: Order) -> Bool {
        role == other.role && state == other.state && service == other.service
            && isHeld == other.isHeld
    }
}

extension RoleSchedulerService {
    /// What the machine is to do now.
    public func order(for id: SmurfID) -> Order {
        let record = state.smurfs[id]
        let role = record?.role
        return Order(
            role: role, service: role.flatMap { policy[$0]?.service } ?? .none,
            state: record?.state ?? .joining, isHeld: record?.override?.kind == .hold,
            version: published?.membership.version ?? version)
    }

    /// What the machine is to do now, and then whatever it is to do instead, as soon as that is decided. Who takes them
    /// slowly gets the newest only. Costs nothing while nothing changes; ends with the task that takes them.
    public func orders(for id: SmurfID) -> AsyncStream<Order> {
        let (orders, continuation) = AsyncStream<Order>.makeStream(
            bufferingPolicy: .bufferingNewest(1))
        let number = orderBook.add(id, order(for: id), continuation)
        continuation.onTermination = { [weak self] _ in
            Task { await self?.forgetOrders(number) }
        }
        return orders
    }

    private func forgetOrders(_ number: UInt64) { orderBook.remove(number) }

    /// Passes on what has changed, at the end of each turn: only within one does anything change that orders follow from.
    func tellOrders() {
        // The same storage, and known to be equal at once, unless a record was touched.
        guard orderBook.count > 0, orderBook.machines != state.smurfs else { return }
        orderBook.tell(order(for:))
        orderBook.machines = state.smurfs
    }

    /// Streams of orders that are taken from now.
    public var orderStreams: Int { orderBook.count }

    /// Orders that were passed on since the start because they had changed.
    public var orderChanges: UInt64 { orderBook.changes }
}
