import Foundation

/// Reactions in the order they are due, shared by the receiving threads that add to it and the workers
/// that wait for them. Any thread may call anything.
final class ReactionQueue: @unchecked Sendable {
    // @unchecked: everything is behind `condition`.
    private let condition = NSCondition()
    /// A binary heap: the parent is never due after its children.
    private var heap: [Reaction] = []
    private var inHand: [Int: Reaction] = [:]
    private var last = 0
    private var isEnded = false

    /// Reactions that wait or are being carried out.
    var outstanding: Int {
        condition.lock()
        defer { condition.unlock() }
        return heap.count + inHand.count
    }

    /// - Returns: false after `end`: nobody will carry it out.
    func add(_ reaction: Reaction) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        guard !isEnded else { return false }
        last += 1
        var numbered = reaction
        numbered.number = last
        push(numbered)
        condition.signal()
        return true
    }

    /// Puts back what was handed out, to be tried again when it is due.
    func postpone(_ reaction: Reaction) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        inHand[reaction.number] = nil
        guard !isEnded else { return false }
        push(reaction)
        condition.signal()
        return true
    }

    /// What was handed out is done with.
    func finish(_ reaction: Reaction) {
        condition.lock()
        inHand[reaction.number] = nil
        condition.unlock()
    }

    enum Next {
        case reaction(Reaction)
        /// Nothing became due.
        case nothing
        case ended
    }

    /// Waits until something is due, at most `seconds`.
    func next(within seconds: Double) -> Next {
        condition.lock()
        defer { condition.unlock() }
        let limit = SinkClock.now + seconds
        while !isEnded {
            let now = SinkClock.now
            if let first = heap.first, first.due <= now {
                inHand[first.number] = pop()
                return .reaction(first)
            }
            guard now < limit else { return .nothing }
            let until = min(limit, heap.first?.due ?? limit)
            _ = condition.wait(until: Date(timeIntervalSinceNow: until - now))
        }
        return .ended
    }

    /// Ends all waiting. - Returns: what nobody took.
    func end() -> [Reaction] {
        condition.lock()
        defer { condition.unlock() }
        isEnded = true
        condition.broadcast()
        defer { heap = [] }
        return heap
    }

    /// - Returns: what was handed out and is not done with.
    var unfinished: [Reaction] {
        condition.lock()
        defer { condition.unlock() }
        return Array(inHand.values)
    }

    private func push(_ reaction: Reaction) {
        heap.append(reaction)
        var child = heap.count - 1
        while child > 0, heap[child].due < heap[(child - 1) / 2].due {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private func pop() -> Reaction {
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var parent = 0
        while true {
            let left = 2 * parent + 1
            guard left < heap.count else { return first }
            let right = left + 1
            let child = right < heap.count && heap[right].due < heap[left].due ? right : left
            guard heap[child].due < heap[parent].due else { return first }
            heap.swapAt(parent, child)
            parent = child
        }
    }
}
