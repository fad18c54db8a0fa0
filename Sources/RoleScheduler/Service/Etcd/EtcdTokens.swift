import Foundation

/// What this node shows etcd to be known as a user of it: a token, got for name and password, shown with every call until
/// etcd takes it no more. It asks once, however many calls wait for it, and not again soon after a refusal, because
/// every question costs etcd a tenth of a second of work. A node without an account has none of this.
actor EtcdTokens {
    typealias Ask = @Sendable (_ name: String, _ password: String) async throws -> String

    private let account: EtcdSettings.Account
    private var token: String?
    private var asking: Task<String, any Error>?
    private var refusal: (fault: EtcdFault, until: ContinuousClock.Instant)?
    private static let pause = Duration.seconds(2)

    init(_ account: EtcdSettings.Account) { self.account = account }

    /// - Parameter ask: gets a token of etcd; "" when etcd asks nobody who he is.
    /// - Throws: an `EtcdFault` that says what to do, or whatever `ask` throws when no answer came.
    func current(_ ask: @escaping Ask) async throws -> String {
        if let token { return token }
        if let refusal, ContinuousClock.now < refusal.until { throw refusal.fault }
        let task = asking ?? Task { [account] in try await EtcdTokens.new(account, ask) }
        asking = task
        let result = await task.result
        // Of those that waited, the first notes what came of it.
        if asking == task {
            asking = nil
            note(result)
        }
        return try result.get()
    }

    private func note(_ result: Result<String, any Error>) {
        switch result {
        case .success(let new): (token, refusal) = (new, nil)
        case .failure(let fault as EtcdFault):
            refusal = (fault, ContinuousClock.now + EtcdTokens.pause)
        case .failure: break
        }
    }

    /// etcd does not take this one any more.
    func forget(_ stale: String) {
        if token == stale { token = nil }
    }

    /// The password is read anew each time, so that another one needs no restart.
    private static func new(_ account: EtcdSettings.Account, _ ask: Ask) async throws -> String {
        guard let data = FileManager.default.contents(atPath: account.passwordFile),
            let text = String(validating: data, as: UTF8.self)
        else {
            throw EtcdFault(
                "the password of etcd's user '\(account.name)' cannot be read from "
                    + "\(account.passwordFile)", isDefinite: true)
        }
        // One line: what an editor or `echo` puts behind it is no part of it.
        let password = text.prefix { !$0.isNewline }
        return try await ask(account.name, String(password))
    }
}
