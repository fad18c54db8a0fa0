import Glibc

/// What the world does about one message it got: returns it, has its reader leave the list, or lets a
/// scanner open its link. Made when the message comes and carried out when it is due.
struct Reaction: Sendable {
    enum Kind: Hashable, Sendable {
        /// A delivery status notification with this status (RFC 3463).
        case bounce(status: String)
        /// The one-click POST of RFC 8058.
        case unsubscribe
        /// A GET of the unsubscribe link, as mail scanners do; must change nothing.
        case prefetch
    }

    var kind: Kind
    var recipient: String
    /// Envelope sender of the message: whom a bounce goes to.
    var sender: String
    /// The http or https link of List-Unsubscribe.
    var link = ""
    /// The message's own header; for bounces only.
    var header: [UInt8] = []
    /// Seconds on the sink's clock.
    var due: Double
    /// No try begins after this.
    var deadline: Double
    var tries = 0
    /// What became of the last try.
    var last = "not tried"
    /// Given by the queue.
    var number = 0
}

/// How the world reacts to what it gets. Shares are of recipients, from 0 to 1; lags are means in seconds
/// of exponential distributions.
public struct ReactionConfiguration: Hashable, Sendable {
    public var bounce = 0.0
    public var unsubscribe = 0.0
    public var prefetch = 0.0
    public var bounceLag = 2.0
    public var clickLag = 5.0
    /// Where mail exchangers listen.
    public var mxPort: UInt16 = 25
    /// Where the web servers of all links listen, without TLS; nil = as the link says.
    public var webPort: UInt16?
    /// Threads that send bounces, and as many that follow links.
    public var workers = 6
    /// Seconds from when a reaction is due until it is given up.
    public var patience = 300.0

    public init() {}

    /// Whether anything is to be done at all.
    public var isActive: Bool { bounce > 0 || unsubscribe > 0 || prefetch > 0 }
}

/// Decides who reacts and when: by the address and the seed alone, so that a trial's outcome is known
/// beforehand. Those refused, put off, returned and unsubscribed are four different sets of people.
struct ReactionChooser: Sendable {
    private let configuration: ReactionConfiguration
    private let seed: UInt64
    /// The share of draws that `RecipientChooser` uses for refusals.
    private let refused: Double

    init(_ configuration: SinkConfiguration) {
        self.configuration = configuration.reactions
        seed = configuration.seed
        refused = configuration.reject + configuration.defer
    }

    /// What `address` does with each message it gets: at most one bounce or unsubscription, and perhaps a
    /// prefetch.
    func kinds(of address: String) -> [Reaction.Kind] {
        var kinds: [Reaction.Kind] = []
        let draw = RecipientChooser.draw(address, seed: seed)
        let bounces = refused + configuration.bounce
        if draw >= refused && draw < bounces {
            kinds.append(.bounce(status: status(of: address)))
        } else if draw >= bounces && draw < bounces + configuration.unsubscribe {
            kinds.append(.unsubscribe)
        }
        if RecipientChooser.draw(address, seed: seed ^ Salt.prefetch) < configuration.prefetch {
            kinds.append(.prefetch)
        }
        return kinds
    }

    /// Seconds from the message to the reaction: exponential, at most eight times the mean.
    func lag(of address: String, _ kind: Reaction.Kind) -> Double {
        let mean: Double
        let salt: UInt64
        switch kind {
        case .bounce: (mean, salt) = (configuration.bounceLag, Salt.bounceLag)
        case .unsubscribe: (mean, salt) = (configuration.clickLag, Salt.clickLag)
        // Scanners look before the reader does.
        case .prefetch: (mean, salt) = (configuration.clickLag / 10, Salt.clickLag)
        }
        let draw = RecipientChooser.draw(address, seed: seed ^ salt)
        return min(-log(1 - draw), 8) * mean
    }

    /// Most bounces are of unknown users.
    private func status(of address: String) -> String {
        let draw = RecipientChooser.draw(address, seed: seed ^ Salt.status)
        return draw < 0.8 ? "5.1.1" : draw < 0.9 ? "5.2.1" : "5.2.2"
    }

    /// Draws for different questions must not agree.
    private enum Salt {
        static let prefetch: UInt64 = 0x7072_6566
        static let bounceLag: UInt64 = 0x626c_6167
        static let clickLag: UInt64 = 0x636c_6167
        static let status: UInt64 = 0x7374_6174
    }
}
