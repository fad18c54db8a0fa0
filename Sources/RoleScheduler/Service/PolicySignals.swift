import Farm
import RoleSchedulerCore
import Yams

/// Reads `signals`.
struct SignalsReader {
    let problems: PolicyProblems

    func signals(_ root: PolicyMapping) -> [SignalSource] {
        let all = root.mapping("signals")
        let sources = all.keys.compactMap { name, mark -> SignalSource? in
            let map = PolicyMapping(
                all.node(name), "signal '\(PolicyProblems.printable(name))'", at: mark, problems,
                path: "signals.*")
            defer { map.finish() }
            if Demand.measured.contains(name) {
                problems.error(
                    mark, "'\(name)' is measured by the farm itself: give yours another name")
            }
            let every = map.duration("every", default: .seconds(15))
            let timeout = map.duration("timeout", default: .seconds(5))
            if every < .milliseconds(100) || timeout < .milliseconds(100) {
                problems.error(map.mark(of: "every"), "readings take 100 ms and more")
            }
            guard let kind = kind(map, name) else { return nil }
            return SignalSource(signal: name, kind: kind, every: every, timeout: timeout)
        }
        return sources.sorted { $0.signal < $1.signal }
    }

    private static func server(_ text: String) -> String? {
        PrometheusQuery(server: text, query: "x") == nil ? nil : text
    }

    private static let queryHint =
        "'query' is missing: write an expression with one value, such as "
        + "\"sum(postfix_queue_length)\""

    private func kind(_ map: PolicyMapping, _ name: String) -> SignalSource.Kind? {
        let server = map.value(
            "prometheus", "address of a Prometheus server; use http://127.0.0.1:9090",
            default: nil, SignalsReader.server)
        let query = map.text("query")
        let age = map.text("age")
        let words = map.sequence("command").map { node -> String? in
            if node.scalar == nil { problems.error(node.mark, "'command' is a list of words") }
            return node.scalar?.string
        }
        switch (map.node("prometheus") != nil, map.node("command") != nil) {
        case (true, false):
            if query?.isEmpty ?? true {
                problems.error(map.mark(of: "prometheus"), SignalsReader.queryHint)
            }
            guard let server, let query else { return nil }
            return .prometheus(server: server, query: query, age: age)
        case (false, true):
            if age != nil {
                problems.error(
                    map.mark(of: "age"),
                    "'age' is for 'prometheus'; a program prints the age behind the number: 12.5 30s"
                )
            }
            let command = words.compactMap { $0 }
            guard let program = command.first, program.hasPrefix("/") else {
                problems.error(
                    map.mark(of: "command"),
                    "'command' begins with a program's full path: [/usr/local/bin/backlog, --now]")
                return nil
            }
            return .command(command)
        default:
            let shown = PolicyProblems.printable(name)
            problems.error(
                map.mark,
                "signal '\(shown)' is read by one of 'prometheus' (with 'query') and 'command'")
            return nil
        }
    }
}
