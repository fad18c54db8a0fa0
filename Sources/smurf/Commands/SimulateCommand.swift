import ArgumentParser
import Farm
import Foundation
import RoleScheduler
import RoleSchedulerCore
import RoleSimulation

/// `smurf policy simulate`: what a policy would do with a mailing, before anything follows it. The
/// production planner runs under a simulated clock; nothing is sent and nothing is asked of any server.
struct SimulateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Runs a mailing through a simulated farm that the policy steers.")

    @Argument(help: "The policy file.") var policy: String
    @Option(help: "A second policy file, or a static split: static:smtp-out=9,smtp-in=2,web=1.")
    var against: [String] = []
    @Flag(help: "Show every static split beside the policy, and the bound that nothing can beat.")
    var staticAll = false
    @Flag(help: "Show the bound that nothing can beat, and how near the policy comes.")
    var bound = false
    @Flag(help: "Write the results as JSON.") var json = false
    @Option(help: "Write a picture of the first run to this file (SVG).") var svg: String?
    @Option(help: "Write what came in during the first run to this file, for --trace.")
    var writeTrace: String?
    @OptionGroup var options: ScenarioOptions

    func run() throws {
        let rules = try FarmSources.policy(at: policy)
        let scenario = try options.scenario(for: rules)
        noteUnusedLabels(rules, scenario)
        let outcomes = try steerings(rules, scenario).map { name, steering in
            simulate(scenario, steering, name: name)
        }
        if let svg, let first = outcomes.first { try draw(first, rules, to: svg) }
        if let writeTrace, let first = outcomes.first {
            try TraceFile.write(Trace(of: first), to: writeTrace)
        }
        guard !json else { return try printJSON(outcomes) }
        print(OutcomeTable.lines(of: outcomes).joined(separator: "\n"))
        let labelled = OutcomeTable.labels(of: outcomes)
        if !labelled.isEmpty { print("\n" + labelled.joined(separator: "\n")) }
        print("\nLimits: no bounce waits longer than 5 min, 99 % of the clicks at most 10 s.")
        if staticAll || bound { printBound(of: scenario, rules, outcomes) }
    }

    /// A rule that is about nobody is most likely not what was meant to be tried.
    private func noteUnusedLabels(_ rules: Policy, _ scenario: Scenario) {
        for rule in rules.labelled where !scenario.isSaid(rule.label) {
            Report.note(
                "no simulated machine has the label '\(rule.label)', which the policy matches: "
                    + "--label \(rule.label)@1-\(max(scenario.smurfs / 2, 1)) gives it to some")
        }
    }

    private func printBound(of scenario: Scenario, _ rules: Policy, _ outcomes: [Outcome]) {
        guard rules.members.allSatisfy({ $0.capacity == 1 }) else {
            return print("No bound is known for machines that are not alike (capacity of members).")
        }
        let bound = clairvoyantCompletion(scenario, rules)
        print(
            "The mailing cannot be over before \(spoken(seconds: Double(bound))) (clairvoyant bound, \(bound) s)",
            terminator: "")
        if let done = outcomes.first?.completion, bound > 0 {
            print(
                "; the policy took \(fixed(Double(done) / Double(bound), 3)) times that (\(done) s)",
                terminator: "")
        }
        print(".")
    }

    private func steerings(
        _ rules: Policy, _ scenario: Scenario
    ) throws -> [(String, RoleSteering)] {
        var all: [(String, RoleSteering)] = [(policy, .policy(rules))]
        for other in against {
            if other.hasPrefix("static:") {
                let split = try StaticSplit(other, rules, machines: scenario.smurfs)
                all.append((split.name, .fixed(rules, split.members)))
            } else {
                all.append((other, .policy(try FarmSources.policy(at: other))))
            }
        }
        if staticAll {
            for split in StaticSplit.all(rules, machines: scenario.smurfs) {
                all.append((split.name, .fixed(rules, split.members)))
            }
        }
        return all
    }

    private func printJSON(_ outcomes: [Outcome]) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        print(String(decoding: try encoder.encode(outcomes), as: UTF8.self))
    }

    private func draw(_ outcome: Outcome, _ rules: Policy, to path: String) throws {
        let title = "\(Int(options.recipients.value)) messages, \(outcome.machines.count) machines"
        let goal = rules.roles.first { $0.service == .smtpOut }?.demand.eta
        let picture = Picture(
            outcome, title: title, zone: rules.zone, goal: goal.map { Int($0.inSeconds) }
        ).svg
        do {
            try picture.write(toFile: path, atomically: true, encoding: .utf8)
        } catch {
            throw Report.failure("cannot write \(path): \(error.localizedDescription)")
        }
    }
}

/// `value` with so many digits after the point.
private func fixed(_ value: Double, _ digits: Int) -> String {
    String(format: "%.\(digits)f", value)
}
