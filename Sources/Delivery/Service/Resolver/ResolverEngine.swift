import CUnbound
import Foundation
import Synchronization

/// A libunbound context and the thread that takes its answers. The only place that calls libunbound. It
/// keeps no answers: `Resolver` does.
@safe final class ResolverEngine: @unchecked Sendable {
    // Safe: the context is made in `init`, used by calls that libunbound allows from any thread
    // (ub_resolve_async, ub_cancel) and deleted by `run` after the last of them.
    // @unchecked: `context` and `wake` never change; all else is behind `table`.
    private typealias Wake = (out: Int32, in: Int32)

    enum Reply: Sendable {
        /// Data of the records in wire form, in the order received, and the smallest TTL in seconds.
        case records([[UInt8]], Int)
        case absent(exists: Bool)
        case failed(String)
    }

    /// One question; libunbound holds it without a reference, so that it stays in `table` until libunbound
    /// has let go of it.
    private final class Question: Sendable {
        let number: Int
        unowned let engine: ResolverEngine
        init(_ number: Int, _ engine: ResolverEngine) {
            self.number = number
            self.engine = engine
        }
    }

    private struct Pending {
        let question: Question
        let deadline: ContinuousClock.Instant
        var waiting: CheckedContinuation<Reply, Never>?
        /// libunbound's number, once it is known.
        var handle: Int32?
    }

    private struct Table {
        var pending: [Int: Pending] = [:]
        var isStopping = false
    }

    private let context: OpaquePointer
    /// A pipe that ends the thread's wait.
    private let wake: Wake
    private let table = Mutex(Table())
    private let numbers = Atomic(0)

    /// libunbound's reader of settings keeps its state in globals: one context is made at a time.
    private static let making = Mutex(())

    init(settings: String) throws(ResolverError) {
        wake = ResolverEngine.openPipe()
        do throws(ResolverError) {
            guard wake.out >= 0 else { throw .failed(name: ".", why: "no descriptors are left") }
            unsafe context = try ResolverEngine.makeContext(settings)
        } catch {
            ResolverEngine.close(wake)
            throw error
        }
        Thread.detachNewThread { self.run() }
    }

    private static func makeContext(_ settings: String) throws(ResolverError) -> OpaquePointer {
        let path = NSTemporaryDirectory() + "/resolver-\(UUID().uuidString).conf"
        let isWritten = FileManager.default.createFile(
            atPath: path, contents: Data(settings.utf8),
            attributes: [.posixPermissions: NSNumber(value: 0o600)])
        defer { _ = unsafe unlink(path) }
        guard isWritten else { throw .failed(name: ".", why: "cannot write \(path)") }
        // Safe: a context passes out of the lock once, to its one owner; the address is no pointer to share.
        let made: Result<UInt, ResolverError> = making.withLock { _ in
            guard let context = unsafe ub_ctx_create() else {
                return .failure(.failed(name: ".", why: "libunbound has no memory"))
            }
            _ = unsafe ub_ctx_debugout(context, nil)
            var status = unsafe ub_ctx_config(context, path)
            if status == 0 { status = unsafe ub_ctx_async(context, 1) }
            // Takes the settings in now, which the first question would do otherwise.
            if status == 0 { status = unsafe ub_ctx_zone_remove(context, "unused.invalid.") }
            guard status == 0 else {
                unsafe ub_ctx_delete(context)
                return .failure(.failed(name: ".", why: text(status)))
            }
            return .success(UInt(bitPattern: context))
        }
        guard let context = unsafe OpaquePointer(bitPattern: try made.get()) else {
            throw .failed(name: ".", why: "libunbound has no memory")
        }
        return unsafe context
    }

    /// Ends the thread, which then frees the context.
    func stop() {
        table.withLock { $0.isStopping = true }
        rouse()
    }

    /// Asks and waits; at most for `Resolver.timeout`, and no longer than the task runs.
    func ask(_ name: String, _ kind: ResolverKind) async -> Reply {
        guard !name.isEmpty, name.utf8.count <= 255, !name.utf8.contains(0) else {
            return .failed("it is no domain name")
        }
        let number = numbers.add(1, ordering: .relaxed).newValue
        return await withTaskCancellationHandler {
            await withCheckedContinuation { start(number, name, kind, $0) }
        } onCancel: {
            finish(number, .failed("the task was cancelled"))
        }
    }

    private func start(
        _ number: Int, _ name: String, _ kind: ResolverKind,
        _ continuation: CheckedContinuation<Reply, Never>
    ) {
        let question = Question(number, self)
        table.withLock {
            $0.pending[number] = Pending(
                question: question, deadline: .now + Resolver.timeout, waiting: continuation)
        }
        if Task.isCancelled { finish(number, .failed("the task was cancelled")) }
        var handle: Int32 = 0
        // Safe: `table` holds the question until its callback was called or it was cancelled.
        let status = unsafe ub_resolve_async(
            context, name, kind.rawValue, 1, Unmanaged.passUnretained(question).toOpaque(),
            { argument, error, result in
                guard let argument = unsafe argument else { return }
                let question = unsafe Unmanaged<Question>.fromOpaque(argument)
                    .takeUnretainedValue()
                let reply = unsafe ResolverEngine.reply(error, result)
                question.engine.finish(question.number, reply)
                question.engine.forget(question.number)
            }, &handle)
        if status == 0 {
            table.withLock { $0.pending[number]?.handle = handle }
            rouse()
        } else {
            finish(number, .failed(ResolverEngine.text(status)))
            forget(number)
        }
    }

    /// Resumes who waits, once.
    private func finish(_ number: Int, _ reply: Reply) {
        let waiting = table.withLock { table in
            let waiting = table.pending[number]?.waiting
            table.pending[number]?.waiting = nil
            return waiting
        }
        waiting?.resume(returning: reply)
    }

    private func forget(_ number: Int) {
        table.withLock { _ = $0.pending.removeValue(forKey: number) }
    }

    /// Takes answers until `stop`.
    private func run() {
        var descriptors = unsafe [
            pollfd(fd: ub_fd(context), events: Int16(POLLIN), revents: 0),
            pollfd(fd: wake.out, events: Int16(POLLIN), revents: 0),
        ]
        while !table.withLock({ $0.isStopping }) {
            _ = unsafe poll(&descriptors, 2, pause())
            var drain: UInt64 = 0
            while unsafe read(wake.out, &drain, 8) > 0 {}
            _ = unsafe ub_process(context)
            cancelLate()
        }
        unsafe ub_ctx_delete(context)
        ResolverEngine.close(wake)
        table.withLock { $0.pending.removeAll() }
    }

    private static func openPipe() -> Wake {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return (-1, -1) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        return (ends[0], ends[1])
    }

    /// A full pipe rouses as well.
    private func rouse() {
        var one: UInt8 = 1
        _ = unsafe write(wake.in, &one, 1)
    }

    private static func close(_ wake: Wake) {
        for end in [wake.out, wake.in] where end >= 0 { _ = Foundation.close(end) }
    }

    /// Milliseconds until the first deadline, or -1 when nothing is asked.
    private func pause() -> Int32 {
        guard let first = table.withLock({ $0.pending.values.map(\.deadline).min() }) else {
            return -1
        }
        let left = ContinuousClock.now.duration(to: first)
        return Int32(max(.zero, left) / .milliseconds(1)) + 1
    }

    /// Callbacks run on this thread alone, so that none can be running for what is cancelled here.
    private func cancelLate() {
        let now = ContinuousClock.now
        let late = table.withLock { table in
            table.pending.filter { $0.value.deadline <= now && $0.value.handle != nil }
        }
        for (number, pending) in late {
            if let handle = pending.handle { _ = unsafe ub_cancel(context, handle) }
            finish(number, .failed("no answer in \(Resolver.timeout)"))
            forget(number)
        }
    }

    private static func reply(_ error: Int32, _ result: UnsafeMutablePointer<ub_result>?) -> Reply {
        guard error == 0, let result = unsafe result else { return .failed(text(error)) }
        defer { unsafe ub_resolve_free(result) }
        if unsafe result.pointee.nxdomain != 0 { return .absent(exists: false) }
        let code = unsafe result.pointee.rcode
        guard code == 0 else {
            return .failed(code == 2 ? "no server gives an answer" : "answered with rcode \(code)")
        }
        guard unsafe result.pointee.havedata != 0, let data = unsafe result.pointee.data,
            let lengths = unsafe result.pointee.len
        else { return .absent(exists: true) }
        var records: [[UInt8]] = []
        // Safe: libunbound ends `data` with a null pointer and gives each item's length beside it.
        while let item = unsafe data[records.count] {
            let length = unsafe Int(lengths[records.count])
            unsafe records.append([UInt8](UnsafeRawBufferPointer(start: item, count: length)))
        }
        return .records(records, unsafe Int(result.pointee.ttl))
    }

    private static func text(_ status: Int32) -> String {
        guard let text = unsafe ub_strerror(status) else { return "libunbound error \(status)" }
        return unsafe String(cString: text)
    }
}
