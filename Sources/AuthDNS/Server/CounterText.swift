import AuthDNSCore

/// Counters as the text that a Prometheus server reads (exposition format 0.0.4). Names and labels are a promise to
/// whoever draws them: they may be added to, and do not change.
struct CounterText {
    private(set) var text = ""

    /// - Parameters:
    ///   - threads: what each thread has counted: those of UDP, then that of TCP and that of TLS.
    ///   - image: what is served.
    ///   - isSaved: whether a restart would serve the same.
    ///   - taps: of queries that are told to others.
    init(
        _ threads: [NameServerCounters], serving image: ZoneImage, isSaved: Bool,
        taps: [QueryTap] = []
    ) {
        add("serial", "gauge", "Serial number of the served zone.", [("", UInt64(image.serial))])
        add(
            "membership_version", "gauge", "Version of the membership that the zone was made of.",
            [("", image.membershipVersion)])
        add(
            "saved", "gauge", "Whether a restart would serve what is served now.",
            [("", isSaved ? 1 : 0)])
        let datagrams = threads.count - 2
        add(
            "queries_total", "counter", "Messages received, by thread.",
            threads.enumerated().map { index, counted in
                let transport = index < datagrams ? "udp" : index == datagrams ? "tcp" : "tls"
                return ("thread=\"\(index)\",transport=\"\(transport)\"", counted.queries)
            })
        addSums(threads.reduce(into: NameServerCounters()) { $0 += $1 })
        if !taps.isEmpty { addTaps(taps.map(\.counted)) }
    }

    private mutating func addTaps(
        _ taps: [(told: UInt64, untold: UInt64, dropped: UInt64)]
    ) {
        add(
            "dnstap_total", "counter",
            "Queries of the dnstap sample: sent, lost for want of a collector, dropped for want of room.",
            [
                ("fate=\"sent\"", taps.map(\.told).reduce(0, +)),
                ("fate=\"lost\"", taps.map(\.untold).reduce(0, +)),
                ("fate=\"dropped\"", taps.map(\.dropped).reduce(0, +)),
            ])
    }

    private mutating func addSums(_ sum: NameServerCounters) {
        add(
            "queries_ipv6_total", "counter", "Messages from IPv6 addresses.",
            [("", sum.ipv6Queries)])
        add(
            "queries_edns_total", "counter", "Messages with an OPT record.",
            [("", sum.queriesWithOPT)])
        add(
            "queries_dnssec_total", "counter", "Messages with the DO bit.",
            [("", sum.queriesWantingDNSSEC)])
        add(
            "replies_total", "counter", "Replies by response code.",
            sum.repliesByCode.sorted { $0.key < $1.key }.map {
                ("rcode=\"\(CounterText.name(ofCode: $0.key))\"", $0.value)
            })
        add(
            "replies_by_type_total", "counter", "Replies by the type that was asked for.",
            sum.repliesByType.sorted { $0.key < $1.key }.map {
                ("type=\"\(CounterText.name(of: $0.key))\"", $0.value)
            })
        add(
            "replies_by_size_total", "counter",
            "Replies by octets: up to each size and more than the one before.",
            sum.repliesBySize.sorted { $0.key < $1.key }.map { ("octets=\"\($0.key)\"", $0.value) })
        add("replies_truncated_total", "counter", "Replies with TC set.", [("", sum.truncated)])
        add("silent_total", "counter", "Messages without a reply.", [("", sum.silent)])
        addDefences(sum)
    }

    private mutating func addDefences(_ sum: NameServerCounters) {
        add(
            "cookies_total", "counter", "Queries with a COOKIE option, by what it proved.",
            [
                ("proof=\"none\"", sum.cookies.clientOnly), ("proof=\"valid\"", sum.cookies.valid),
                ("proof=\"invalid\"", sum.cookies.invalid),
            ])
        add(
            "rate_limited_total", "counter", "Replies over the rate limit.",
            [
                ("action=\"drop\"", sum.rateLimit.dropped),
                ("action=\"truncate\"", sum.rateLimit.truncated),
            ])
        add(
            "connections_total", "counter", "TCP connections, by what became of them.",
            [
                ("state=\"accepted\"", sum.connections.accepted),
                ("state=\"refused\"", sum.connections.refused),
                ("state=\"ended_idle\"", sum.connections.endedIdle),
                ("state=\"ended_slow\"", sum.connections.endedSlow),
            ])
    }

    private mutating func add(
        _ name: String, _ kind: String, _ help: String, _ samples: [(labels: String, value: UInt64)]
    ) {
        text += "# HELP smurf_dns_\(name) \(help)\n# TYPE smurf_dns_\(name) \(kind)\n"
        for (labels, value) in samples {
            text += "smurf_dns_\(name)\(labels.isEmpty ? "" : "{\(labels)}") \(value)\n"
        }
    }

    /// As dig prints it; types that share a counter are "other".
    private static func name(of type: RecordType) -> String {
        let names: [RecordType: String] = [
            .a: "A", .ns: "NS", .cname: "CNAME", .soa: "SOA", .ptr: "PTR", .mx: "MX", .txt: "TXT",
            .aaaa: "AAAA", .srv: "SRV", .https: "HTTPS", .ds: "DS", .rrsig: "RRSIG", .nsec: "NSEC",
            .dnskey: "DNSKEY", .cds: "CDS", .cdnskey: "CDNSKEY", .ixfr: "IXFR", .axfr: "AXFR",
            .any: "ANY",
        ]
        return names[type] ?? (type.rawValue == 0 ? "other" : "TYPE\(type.rawValue)")
    }

    /// As dig prints it.
    private static func name(ofCode code: UInt16) -> String {
        switch code {
        case 0: "NOERROR"
        case 1: "FORMERR"
        case 2: "SERVFAIL"
        case 3: "NXDOMAIN"
        case 4: "NOTIMP"
        case 5: "REFUSED"
        case 9: "NOTAUTH"
        case 16: "BADVERS"
        case 23: "BADCOOKIE"
        default: "\(code)"
        }
    }
}

extension NameServer {
    /// What has been counted since the start, in the text format of Prometheus. Answering never waits for it.
    public var counterText: String {
        CounterText(countersByThread, serving: image, isSaved: isSaved, taps: queryTaps).text
    }
}
