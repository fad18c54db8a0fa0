import ArgumentParser
import AuthDNS
import Dnstap
import Logging

/// What an operator can say about a log of queries.
struct QueryLogOptions: ParsableArguments {
    /// One in so many.
    struct Sample: ExpressibleByArgument {
        let interval: Int

        init(_ interval: Int) { self.interval = interval }

        init?(argument: String) {
            let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "1", let interval = Int(parts[1]),
                (1...1_000_000_000).contains(interval)
            else { return nil }
            self.interval = interval
        }

        var defaultValueDescription: String { "1/\(interval)" }
    }

    @Option(
        help: """
            Unix socket of a dnstap collector, such as 'fstrm_capture -t protobuf:dnstap.Dnstap -u SOCKET -w FILE', to tell \
            of queries and what they were answered. It may come and go: answers never wait for it.
            """)
    var dnstap: String?
    @Option(help: "How many of them: one in N of each thread's queries, written 1/N.")
    var dnstapSample = Sample(1000)

    /// One in so many queries is kept; nil for none.
    var interval: Int? { dnstap == nil ? nil : dnstapSample.interval }

    /// Begins to tell of queries; nil when nobody wants to know.
    func sender(
        of server: NameServer, identity: String, version: String, _ logger: Logger
    ) -> DnstapSender? {
        dnstap.map {
            DnstapSender(
                of: server, to: $0, identity: identity, version: version, logger: logger)
        }
    }
}
