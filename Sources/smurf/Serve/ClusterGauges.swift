import AuthDNS
import RoleScheduler

/// How a node stands among the farm's control nodes, for Prometheus, beside what its name server counts. A node that is
/// alone has nothing to say of it. Names are a promise, as those of the counters are.
enum ClusterGauges {
    /// All that is counted on this node, in the text format of Prometheus.
    static func text(_ nameServer: NameServer, _ scheduler: RoleSchedulerService) async -> String {
        let standing = await scheduler.standing
        guard standing.isShared else { return nameServer.counterText }
        let isFollowed = await scheduler.policyTrouble.isEmpty
        let differs = await scheduler.fileDiffers
        return nameServer.counterText
            + text(of: standing, fileDiffers: differs, canReadPolicy: isFollowed)
    }

    static func text(of standing: Standing, fileDiffers: Bool, canReadPolicy: Bool) -> String {
        let gauges: [(String, String, UInt64)] = [
            ("leads", "Whether this node plans.", standing.term == nil ? 0 : 1),
            ("term", "Term of whoever leads; 0 when nobody does.", standing.leaderTerm),
            ("nodes", "Control nodes that are there.", UInt64(standing.nodes.count)),
            ("etcd_up", "Whether etcd answers this node.", standing.trouble.isEmpty ? 1 : 0),
            (
                "etcd_alarm", "Whether etcd complains, as of being full.",
                standing.alarm.isEmpty ? 0 : 1
            ),
            (
                "policy_file_differs", "Whether this node's policy file is not what is followed.",
                fileDiffers ? 1 : 0
            ),
            (
                "policy_unreadable", "Whether this node cannot read the farm's policy.",
                canReadPolicy ? 0 : 1
            ),
        ]
        return gauges.map { name, help, value in
            "# HELP smurf_cluster_\(name) \(help)\n# TYPE smurf_cluster_\(name) gauge\n"
                + "smurf_cluster_\(name) \(value)\n"
        }.joined()
    }
}
