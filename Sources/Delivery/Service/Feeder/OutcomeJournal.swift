/// Writes outcomes into the ledger, those of all smurfs together: what arrives while one transaction is being
/// written goes into the next, so that the number of transactions does not grow with the number of smurfs.
actor OutcomeJournal {
    private let ledger: SQLiteLedger
    private let unixTime: @Sendable () -> Int64
    private var waiting: [(batch: OutcomeBatch, done: CheckedContinuation<Void, any Error>)] = []
    private var isWriting = false

    init(ledger: SQLiteLedger, unixTime: @escaping @Sendable () -> Int64) {
        self.ledger = ledger
        self.unixTime = unixTime
    }

    /// - Returns: when the batch is on disk and may be receipted.
    /// - Throws: when the ledger cannot be written; the batch may be handed in again.
    func record(_ batch: OutcomeBatch) async throws {
        try await withCheckedThrowingContinuation { done in
            waiting.append((batch, done))
            guard !isWriting else { return }
            isWriting = true
            Task { await write() }
        }
    }

    private func write() async {
        while !waiting.isEmpty {
            let group = waiting
            waiting = []
            let result: Result<Void, any Error>
            do {
                try await ledger.record(group.map(\.batch), now: unixTime())
                result = .success(())
            } catch {
                result = .failure(error)
            }
            for item in group { item.done.resume(with: result) }
        }
        isWriting = false
    }
}
