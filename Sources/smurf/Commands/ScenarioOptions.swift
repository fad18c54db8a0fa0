import ArgumentParser
import Farm
import RoleSchedulerCore
import RoleSimulation

/// What the simulated world is like, from the command line; every default is the seed's farm.
struct ScenarioOptions: ParsableArguments {
    @Option(help: "Rows of the mailing: 400000, 400k, 1M.") var recipients = Amount(value: 1e6)
    @Option(help: "Octets of one message: 40k.") var size = Amount(value: 40_000)
    @Option(help: "Machines, 1 to 10,000; by default those that the policy lists, else 12.")
    var smurfs: Int?
    @Option(help: "Bits per second of each machine's link: 100M.") var link = Amount(value: 100e6)
    @Option(
        help: "Real work per second of one machine, ROLE=RATE; by default the policy's capacity.")
    var rate: [String] = []
    @Option(help: "Percent of rows that bounce.") var bounces = 6.0
    @Option(help: "Percent of rows whose readers unsubscribe.") var unsubscribes = 1.5
    @Option(help: "Percent of resolvers that keep answers for 15 minutes whatever the TTL.")
    var ignoreTTL = 5.0
    @Option(help: "How long after its message a bounce comes, MINUTE-MINUTE=PERCENT; together 100.")
    var bounceLag: [String] = []
    @Option(help: "How long after its message a click comes, MINUTE-MINUTE=PERCENT; together 100.")
    var unsubscribeLag: [String] = []
    @Option(help: "A receiving site's limit, PERCENT=RATE: 30=50 takes 30 % of the rows at 50/s.")
    var site: [String] = []
    @Option(help: "Machines that fail, COUNT@MINUTE or COUNT@MINUTE+MINUTES.") var fail: [String] =
        []
    @Option(
        help: """
            Machines that take work and do none, while their agents say that all is well: so many, or one by its name; \
            COUNT@MINUTE, COUNT@MINUTE+MINUTES, SMURF@MINUTE+MINUTES.
            """)
    var hole: [String] = []
    @Option(
        help: """
            A label that the agents of these machines say, KEY=VALUE@NUMBER or KEY=VALUE@FROM-TO by number from 1: \
            rack=b@7-12. Those that the policy lists come first, by name.
            """)
    var label: [String] = []
    @Option(help: "Minutes without numbers, FROM-TO.") var silence: [String] = []
    @Option(help: "Percent by which numbers are off.") var noise = 0.0
    @Option(help: "A file of JSON lines with arrivals, failures and labels to live through again.")
    var trace: String?
    @Option(help: "Hours after which the simulation ends.") var hours = 6
    @Option(help: "Time of day when the mailing begins, for phases by the clock: 21:30.")
    var start = "12:00"
    @Option(help: "Everything random follows from it.") var seed: UInt64 = 1

    /// - Parameter farm: machines of a farm that runs, and what their agents say; those that the policy lets join take part.
    /// - Throws: `Report.badInput` after one message for the first absurd value.
    func scenario(for policy: Policy, farm: [SmurfID: [Label]] = [:]) throws -> Scenario {
        var scenario = Scenario()
        scenario.seed = seed
        scenario.recipients = recipients.value
        scenario.messageBytes = size.value
        let joining = farm.filter { policy.admits($0.key, $0.value) }
        scenario.names = Set(policy.members.map(\.id)).union(joining.keys).sorted()
        let listed = scenario.names.isEmpty ? scenario.smurfs : scenario.names.count
        scenario.smurfs = smurfs ?? min(listed, 10_000)
        scenario.linkBits = link.value
        scenario.bounceShare = bounces / 100
        scenario.clickShare = unsubscribes / 100
        scenario.ignoringTTL = ignoreTTL / 100
        scenario.noise = noise / 100
        scenario.horizon = hours * 3600
        scenario.start = try time(start)
        try check()
        for text in rate {
            let pair = parts(text, "=")
            guard pair.count == 2, let role = Role(pair[0]), policy[role] != nil,
                let value = Double(pair[1]), value > 0, value <= 1e9
            else { throw refusal("--rate", text, "ROLE=RATE with a role of the policy, smtp-in=4") }
            scenario.rates[role] = value
        }
        scenario.sites = try site.map(limit)
        guard scenario.sites.reduce(0, { $0 + $1.share }) <= 1 else {
            throw refusal("--site", site.joined(separator: " "), "shares of together 100 at most")
        }
        scenario.bounceLag = try lag("--bounce-lag", bounceLag) ?? scenario.bounceLag
        scenario.clickLag = try lag("--unsubscribe-lag", unsubscribeLag) ?? scenario.clickLag
        scenario.outages = try fail.map(outage)
        let ids = scenario.ids
        scenario.holes = try hole.map { try hole($0, of: ids) }
        scenario.labels = try label.map { try labelled($0, of: ids.count) } + told(joining, ids)
        scenario.silences = try silence.map(quiet)
        scenario.trace = try trace.map(TraceFile.read)
        return scenario
    }

    /// What agents say, by the machines' numbers.
    private func told(_ farm: [SmurfID: [Label]], _ ids: [SmurfID]) -> [Scenario.Labelled] {
        zip(1..., ids).flatMap { number, id in
            (farm[id] ?? []).map { .init(label: $0, machines: number...number) }
        }
    }

    private func check() throws {
        if let smurfs, !(1...10_000).contains(smurfs) {
            throw refusal("--smurfs", "\(smurfs)", "1 to 10000")
        }
        guard (1...48).contains(hours) else { throw refusal("--hours", "\(hours)", "1 to 48") }
        for (name, amount) in [("--recipients", recipients), ("--size", size), ("--link", link)] {
            guard amount.value >= 1 else { throw refusal(name, "\(amount.value)", "at least 1") }
        }
        let shares = [
            ("--bounces", bounces), ("--unsubscribes", unsubscribes), ("--ignore-ttl", ignoreTTL),
            ("--noise", noise),
        ]
        for (name, value) in shares where !(0...100).contains(value) {
            throw refusal(name, "\(value)", "0 to 100")
        }
    }

    private func time(_ text: String) throws -> TimeOfDay {
        let numbers = parts(text, ":").compactMap { UInt8($0) }
        guard numbers.count == 2, numbers[0] < 24, numbers[1] < 60 else {
            throw refusal("--start", text, "a time of day, 21:30")
        }
        return TimeOfDay(minute: Int(numbers[0]) * 60 + Int(numbers[1]))
    }

    private func parts(_ text: String, _ separator: Character) -> [String] {
        text.split(separator: separator, omittingEmptySubsequences: false).map(String.init)
    }

    private func limit(_ text: String) throws -> Scenario.Site {
        let pair = parts(text, "=").compactMap(Double.init)
        guard pair.count == 2, (0...100).contains(pair[0]), pair[1] > 0, pair[1] <= 1e9 else {
            throw refusal("--site", text, "PERCENT=RATE, 30=50")
        }
        return Scenario.Site(share: pair[0] / 100, limit: pair[1])
    }

    /// nil when none is given.
    private func lag(_ option: String, _ texts: [String]) throws -> Lag? {
        guard !texts.isEmpty else { return nil }
        let lag = Lag(
            try texts.map { text in
                let pair = parts(text, "=")
                let times = parts(pair[0], "-").compactMap(Int.init)
                guard pair.count == 2, let share = Double(pair[1]), (0...100).contains(share),
                    times.count == 2, 0 <= times[0], times[0] < times[1], times[1] <= 2880
                else { throw refusal(option, text, "MINUTE-MINUTE=PERCENT, 5-30=45") }
                return Lag.Part(from: times[0] * 60, to: times[1] * 60, share: share / 100)
            })
        guard abs(lag.parts.reduce(0) { $0 + $1.share } - 1) < 1e-6 else {
            throw refusal(option, texts.joined(separator: " "), "shares of together 100")
        }
        return lag
    }

    private func outage(_ text: String) throws -> Scenario.Outage {
        guard let (who, at, lasting) = stretch(text), let count = Int(who),
            (1...10_000).contains(count)
        else { throw refusal("--fail", text, "COUNT@MINUTE or COUNT@MINUTE+MINUTES, 4@20+30") }
        return Scenario.Outage(at: at, machines: count, lasting: lasting)
    }

    private func hole(_ text: String, of ids: [SmurfID]) throws -> Scenario.Hole {
        guard let (who, at, lasting) = stretch(text) else {
            throw refusal("--hole", text, "COUNT or SMURF@MINUTE or @MINUTE+MINUTES, 2@20+30")
        }
        if let count = Int(who), (1...10_000).contains(count) {
            return Scenario.Hole(at: at, lasting: lasting, .some(count))
        }
        guard let id = SmurfID(who), ids.contains(id) else {
            throw refusal(
                "--hole", text,
                "how many, or one of the machines, \(ids[0]) to \(ids[ids.count - 1])")
        }
        return Scenario.Hole(at: at, lasting: lasting, .one(id))
    }

    /// WHO@MINUTE or WHO@MINUTE+MINUTES: who, and the seconds; nil for anything else.
    private func stretch(_ text: String) -> (who: String, at: Int, lasting: Int)? {
        let pair = parts(text, "@")
        let times = pair.count == 2 ? parts(pair[1], "+").compactMap(Int.init) : []
        let day = 0...2880
        guard (1...2).contains(times.count), times.count == parts(pair[1], "+").count,
            times.allSatisfy(day.contains)
        else { return nil }
        return (pair[0], times[0] * 60, times.count == 2 ? times[1] * 60 : 172_800)
    }

    private func labelled(_ text: String, of machines: Int) throws -> Scenario.Labelled {
        let pair = parts(text, "@")
        let texts = pair.count == 2 ? parts(pair[1], "-") : []
        let numbers = texts.compactMap(Int.init)
        guard let label = Label(pair[0]), let first = numbers.first, let last = numbers.last,
            numbers.count == texts.count, numbers.count <= 2, 1 <= first, first <= last,
            last <= machines
        else {
            throw refusal("--label", text, "KEY=VALUE@FROM-TO, rack=b@1-\(machines) at most")
        }
        return Scenario.Labelled(label: label, machines: first...last)
    }

    private func quiet(_ text: String) throws -> Scenario.Silence {
        let pair = parts(text, "-").compactMap(Int.init)
        guard pair.count == 2, pair[0] < pair[1], pair[1] <= 2880 else {
            throw refusal("--silence", text, "FROM-TO in minutes, 20-60")
        }
        return Scenario.Silence(from: pair[0] * 60, to: pair[1] * 60)
    }

    private func refusal(_ option: String, _ text: String, _ wanted: String) -> ExitCode {
        Report.failure("\(option) '\(text)': write \(wanted)", status: Report.badInput)
    }
}

/// A number with an optional k, M or G behind it (thousands, millions, thousand millions).
struct Amount: ExpressibleByArgument {
    let value: Double

    init(value: Double) { self.value = value }

    init?(argument: String) {
        let factors: [Character: Double] = ["k": 1e3, "M": 1e6, "G": 1e9]
        let factor = argument.last.flatMap { factors[$0] }
        guard let number = Double(factor == nil ? argument[...] : argument.dropLast()),
            number.isFinite, number > 0, number * (factor ?? 1) <= 1e12
        else { return nil }
        value = number * (factor ?? 1)
    }

    var defaultValueDescription: String { "\(Int(value))" }
}
