import DeliveryCore
import Farm
import Foundation
import NIOCore

/// The role service `smtp-in`: the mail exchange of the bounce domain. It takes mail for valid tokens and for
/// postmaster and abuse, and relays nothing.
final class BounceListener: RoleService {
    /// Octets of one message: notifications return headers or a message, and ours have 40 KB or so.
    static let maximumSize = 1 << 20

    private let listener: SMTPListener
    private let ready = ServiceReadiness()

    init(
        listen: [(address: IPAddress, port: UInt16)], desk: BounceDesk, group: any EventLoopGroup
    ) {
        var server = SMTPServer.Configuration(hostName: desk.hostName)
        server.maxSize = Self.maximumSize
        server.maxRecipients = 50
        listener = SMTPListener(
            SMTPListener.Configuration(
                listen: listen, purpose: "bounces", server: server),
            desk: desk, group: group)
    }

    func start() async throws {
        try await listener.start()
        ready.isReady = true
    }

    func stop(grace: Duration) async {
        ready.isReady = false
        await listener.stop(grace: grace)
    }

    var ports: [Int] { listener.ports }

    var activity: RoleActivity {
        RoleActivity(isReady: ready.isReady, connections: listener.openConnections)
    }
}

/// What the bounce domain accepts, and where it goes: notifications to the spool, mail for people to files.
struct BounceDesk: SMTPDesk {
    let zone: String
    let bounceDomain: String
    let hostName: String
    let spool: FeedbackSpool
    let people: PostmasterMail
    let counters: AgentCounters
    /// The farm's token keys as of now.
    let keys: @Sendable () -> [[UInt8]]

    func greet(_ client: SMTPPeer) -> SMTPReply? { nil }

    func check(sender: Mailbox?, from client: SMTPPeer) -> SMTPReply { SMTPReply(250, "2.1.0 OK") }

    func check(recipient: Mailbox, taken: Int, from client: SMTPPeer) -> SMTPReply {
        if isForPeople(recipient) || token(of: recipient) != nil {
            return SMTPReply(250, "2.1.5 OK")
        }
        return isOurs(recipient.domain)
            ? SMTPReply(550, "5.1.1 no such address here")
            : SMTPReply(550, "5.7.1 this host relays no mail")
    }

    func accept(_ message: SMTPServer.Message, from client: SMTPPeer) async -> SMTPReply {
        do {
            if message.recipients.contains(where: isForPeople) {
                try await people.keep(message, from: client)
            }
            let tokens = message.recipients.compactMap(token)
            if !tokens.isEmpty { try await take(DeliveryStatus.read(message.content), tokens) }
            return SMTPReply(250, "2.0.0 taken")
        } catch is PostmasterMail.Full {
            return SMTPReply(452, "4.2.2 the mailbox is full: try again later")
        } catch {
            return SMTPReply(452, "4.3.1 cannot keep it now: try again")
        }
    }

    private func take(_ status: DeliveryStatus, _ tokens: [BounceToken]) async throws {
        let now = Int64(Date().timeIntervalSince1970)
        for token in tokens {
            switch status {
            case .bounce(let bounce):
                try await spool.append(
                    AgentFeedback(
                        kind: .bounce, mailing: token.mailing, recipient: token.recipient,
                        status: bounce.status, diagnostic: bounce.diagnostic, unixTime: now))
            case .complaint(let type):
                try await spool.append(
                    AgentFeedback(
                        kind: .complaint, mailing: token.mailing, recipient: token.recipient,
                        diagnostic: String(type.prefix(64)), unixTime: now))
            // On its way, a machine's answer, or a person's: no fault of the address.
            case .progress, .automaticReply, .other: break
            }
            // Whatever it says: this is the work that sizes the role.
            counters.addReturned()
        }
    }

    private func token(of recipient: Mailbox) -> BounceToken? {
        guard recipient.domain.lowercased() == bounceDomain.lowercased(),
            let mint = TokenMint(keys: keys())
        else { return nil }
        let today = UInt16(clamping: Int64(Date().timeIntervalSince1970) / 86_400)
        return mint.verify(localPart: recipient.localPart, today: today)
    }

    /// RFC 2142 §4, §5: every domain that takes mail has these.
    private func isForPeople(_ recipient: Mailbox) -> Bool {
        ["postmaster", "abuse"].contains(recipient.localPart.lowercased())
            && isOurs(recipient.domain)
    }

    private func isOurs(_ domain: String) -> Bool {
        [bounceDomain, zone, hostName].contains { $0.lowercased() == domain.lowercased() }
    }
}
