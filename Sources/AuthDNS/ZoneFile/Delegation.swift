public import AuthDNSCore
import CLDNS
public import Farm

/// What a parent zone says of ours, or ought to: name servers, their addresses within the zone (glue), and the DS
/// records that point at its keys (RFC 9499 §7). As a value, so that both can be held against each other.
public struct Delegation: Hashable, Sendable {
    public var apex: DomainName
    public var nameServers: Set<DomainName>
    /// A and AAAA records of name servers within the zone; TTLs do not count.
    public var glue: Set<ResourceRecord>
    /// Data of DS records.
    public var keys: Set<[UInt8]>

    /// What the parent of a zone ought to say.
    /// - Parameter entryPoints: of keys that the parent should point at.
    public init(of image: ZoneImage, entryPoints: [ZoneKey]) {
        apex = image.apex
        let servers = image.records.filter { $0.type == .ns && $0.owner == image.apex }
            .compactMap { DomainName(wire: $0.data) }
        nameServers = Set(servers)
        glue = Set(
            image.records.filter {
                ($0.type == .a || $0.type == .aaaa) && servers.contains($0.owner)
            }.map(Delegation.untimed))
        keys = Set(entryPoints.map(\.delegationData))
    }

    /// Of text as `Presentation` writes it, and names; nil when any of it is not that.
    public init?(apex: DomainName, nameServers: [String], glue: [String], keys: [String]) {
        self.init(apex: apex)
        for text in nameServers {
            guard let name = DomainName(text) else { return nil }
            self.nameServers.insert(name)
        }
        for text in glue {
            let words = text.split(separator: " ").map(String.init)
            guard words.count == 4, let owner = DomainName(words[0]),
                let address = IPAddress(words[3])
            else { return nil }
            self.glue.insert(.address(owner, address, ttl: 0))
        }
        for text in keys {
            guard let data = Presentation.delegation(of: text) else { return nil }
            self.keys.insert(data)
        }
    }

    private init(apex: DomainName) {
        (self.apex, nameServers, glue, keys) = (apex, [], [], [])
    }

    private static func untimed(_ record: ResourceRecord) -> ResourceRecord {
        var record = record
        record.ttl = 0
        return record
    }

    /// Asks one of the parent's servers, by UDP and by TCP where that is too small.
    /// - Throws: when it does not answer or is no server of the parent.
    /// - Complexity: blocks the thread for at most some ten seconds.
    public static func asked(
        of apex: DomainName, at server: IPAddress, port: UInt16
    ) throws(DelegationFault) -> Delegation {
        var found = Delegation(apex: apex)
        let resolver = try ParentResolver(server, port)
        for record in try resolver.records(apex, LDNS_RR_TYPE_NS) {
            switch record.type {
            case .ns where record.owner == apex:
                DomainName(wire: record.data).map { _ = found.nameServers.insert($0) }
            case .a, .aaaa: found.glue.insert(untimed(record))
            default: break
            }
        }
        found.glue = found.glue.filter { found.nameServers.contains($0.owner) }
        for record in try resolver.records(apex, LDNS_RR_TYPE_DS)
        where record.type == .ds && record.owner == apex {
            found.keys.insert(record.data)
        }
        return found
    }

    /// How the parent's view differs from what it ought to be, in words; empty when it does not.
    public func differences(of parent: Delegation) -> [String] {
        func lines<Element>(
            _ some: Set<Element>, _ others: Set<Element>, _ line: (Element) -> String
        ) -> [String] {
            some.subtracting(others).map(line).sorted()
        }
        let lacking =
            lines(nameServers, parent.nameServers) { "the parent lacks NS \($0)" }
            + lines(glue, parent.glue) {
                "the parent lacks the address \(Presentation.address($0))"
            }
            + lines(keys, parent.keys) { "the parent lacks DS \(Presentation.delegation($0))" }
        let wrong =
            lines(parent.nameServers, nameServers) { "the parent has NS \($0), the zone has not" }
            + lines(parent.glue, glue) {
                "the parent has the address \(Presentation.address($0)), the zone has not"
            }
            + lines(parent.keys, keys) {
                "the parent has DS \(Presentation.delegation($0)), which the zone does not want"
            }
        return lacking + wrong
    }
}

/// Why a parent's server could not be asked.
public struct DelegationFault: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
}

/// Records as people write them in zone files.
public enum Presentation {
    /// Data of a DS record.
    public static func delegation(_ data: [UInt8]) -> String {
        guard data.count > 4 else { return "" }
        let tag = Int(data[0]) << 8 | Int(data[1])
        return "\(tag) \(data[2]) \(data[3]) \(data[4...].hexadecimal)"
    }

    static func delegation(of text: String) -> [UInt8]? {
        let words = text.split(separator: " ")
        guard words.count == 4, let tag = UInt16(words[0]), let algorithm = UInt8(words[1]),
            let type = UInt8(words[2]), words[3].utf8.count % 2 == 0
        else { return nil }
        var data = [UInt8(tag >> 8), UInt8(tag & 255), algorithm, type]
        var rest = words[3]
        while !rest.isEmpty {
            guard let octet = UInt8(rest.prefix(2), radix: 16) else { return nil }
            data.append(octet)
            rest = rest.dropFirst(2)
        }
        return data
    }

    /// An A or AAAA record without its TTL.
    public static func address(_ record: ResourceRecord) -> String {
        let address = IPAddress(octets: record.data)?.description ?? ""
        return "\(record.owner). IN \(record.type == .a ? "A" : "AAAA") \(address)"
    }
}

/// libldns's resolver, set to one server and no recursion.
@safe private final class ParentResolver {
    private let resolver: UnsafeMutablePointer<ldns_resolver>
    private let name: String

    init(_ server: IPAddress, _ port: UInt16) throws(DelegationFault) {
        name = "\(server) port \(port)"
        let family = server.octets.count == 4 ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA
        guard let new = unsafe ldns_resolver_new(),
            let address = unsafe ldns_rdf_new_frm_data(
                family, server.octets.count, server.octets)
        else { throw DelegationFault(description: "there is no memory to ask \(name)") }
        unsafe resolver = new
        unsafe ldns_resolver_set_recursive(new, false)
        unsafe ldns_resolver_set_port(new, port)
        unsafe ldns_resolver_set_retry(new, 2)
        unsafe ldns_resolver_set_timeout(new, timeval(tv_sec: 2, tv_usec: 0))
        _ = unsafe ldns_resolver_push_nameserver(new, address)
        // Safe: the resolver keeps a copy.
        unsafe ldns_rdf_deep_free(address)
    }

    // Safe: made by `ldns_resolver_new`, and nobody else has it.
    deinit { unsafe ldns_resolver_deep_free(resolver) }

    /// Every record of the answer, whichever section it is in.
    func records(
        _ owner: DomainName, _ type: ldns_rr_type
    ) throws(DelegationFault) -> [ResourceRecord] {
        guard
            let asked = unsafe ldns_rdf_new_frm_data(
                LDNS_RDF_TYPE_DNAME, owner.wire.count, owner.wire)
        else { throw DelegationFault(description: "there is no memory to ask \(name)") }
        defer { unsafe ldns_rdf_deep_free(asked) }
        var answer: UnsafeMutablePointer<ldns_pkt>?
        let status = unsafe ldns_resolver_query_status(
            &answer, resolver, asked, type, LDNS_RR_CLASS_IN, 0)
        guard status == LDNS_STATUS_OK, let answer = unsafe answer else {
            let why = unsafe String(cString: ldns_get_errorstr_by_id(status))
            throw DelegationFault(description: "\(name) does not answer: \(why)")
        }
        defer { unsafe ldns_pkt_free(answer) }
        let code = unsafe ldns_pkt_get_rcode(answer)
        guard code == LDNS_RCODE_NOERROR else {
            throw DelegationFault(
                description:
                    "\(name) says \(code == LDNS_RCODE_NXDOMAIN ? "NXDOMAIN" : "code \(code.rawValue)") for \(owner)"
            )
        }
        var found: [ResourceRecord] = []
        let sections = unsafe [
            ldns_pkt_answer(answer), ldns_pkt_authority(answer), ldns_pkt_additional(answer),
        ]
        for index in unsafe sections.indices {
            guard let list = unsafe sections[index] else { continue }
            for index in 0..<(unsafe ldns_rr_list_rr_count(list)) {
                if let rr = unsafe ldns_rr_list_rr(list, index),
                    let record = unsafe ResourceRecord(rr)
                {
                    found.append(record)
                }
            }
        }
        return found
    }
}
