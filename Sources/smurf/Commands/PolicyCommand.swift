import ArgumentParser
import Farm
import RoleScheduler
import RoleSchedulerCore

/// `smurf policy`: what a policy file says, before anything follows it.
struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy",
        abstract: "Checks, explains, compares, tries, applies, releases and shows policies.",
        subcommands: [
            Check.self, Explain.self, PolicyDiffCommand.self, SimulateCommand.self,
            PolicyApplyCommand.self, PolicyReleaseCommand.self, PolicyShowCommand.self,
        ])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says every fault of a policy file by line and column; exit status 2 if any.")
        @Argument(help: "The policy file.") var policy: String

        func run() throws {
            let policy = try FarmSources.policy(at: policy)
            print(
                "\(policy.zone): \(policy.roles.count) roles, \(policy.members.count) members, no error"
            )
        }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Says in words what a policy file means, with every default filled in.")
        @Argument(help: "The policy file.") var policy: String

        func run() throws {
            let policy = try FarmSources.policy(at: policy)
            var table = Table(
                [
                    "ROLE", "PRIORITY", "MEMBERS", "SERVICE", "NAMES", "TTL", "DRAIN", "SIZED BY",
                    "CHECK",
                ])
            for rule in policy.rolesByPriority {
                let ceiling = rule.max.map(String.init) ?? "all"
                table.add([
                    rule.role.name, "\(rule.priority)", "\(rule.min)–\(ceiling)",
                    rule.service.rawValue, names(rule), "\(rule.ttl) s",
                    drain(rule), sizing(rule),
                    rule.check.map { "\($0.name), every \(spoken(seconds: $0.every.inSeconds))" }
                        ?? "-",
                ])
            }
            print(table.lines.joined(separator: "\n"))
            let movement = policy.movement
            print(
                """

                \(movement.maxInflight) machine(s) move at a time, at least \
                \(spoken(seconds: movement.gap.inSeconds)) apart, after serving at least \
                \(spoken(seconds: movement.minDwell.inSeconds)). Demand must stay up for \
                \(spoken(seconds: movement.upWindow.inSeconds)) or down for \
                \(spoken(seconds: movement.downWindow.inSeconds)) before it counts.
                """)
        }

        private func drain(_ rule: RolePolicy) -> String {
            let time = spoken(seconds: rule.drainTime.inSeconds)
            guard rule.drain.waitsForCores else { return time }
            let most = min(rule.drainTime, rule.drain.deadline)
            return "cores acked, at most \(spoken(seconds: most.inSeconds))"
        }

        private func names(_ rule: RolePolicy) -> String {
            let names = rule.names.map(\.description)
            return names.isEmpty ? "-" : names.joined(separator: ", ")
        }

        private func sizing(_ rule: RolePolicy) -> String {
            let signals = rule.demand.sizing.joined(separator: " + ")
            let soak = rule.soak > 0 ? ", spare machines too" : ""
            return (signals.isEmpty ? "its floor" : signals) + soak
        }
    }
}
