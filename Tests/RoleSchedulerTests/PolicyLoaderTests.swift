import Farm
import Foundation
import RoleScheduler
import RoleSchedulerCore
import TestSupport
import Testing

@Suite struct PolicyLoaderTests {
    private static let head = "version: 1\nzone: smurf.example.test\n"

    /// What is wrong, where it is said to be, and a part of what is said.
    @Test(arguments: [
        ("roles: {web: {min: 1, prioriy: 2}}", "3:23", "did you mean 'priority'?"),
        ("roles: {web: {min: 3, max: 2}}", "3:15", "min (3) is greater than max (2, line 3)"),
        ("roles: {web: {ttl: 30}}", "3:20", "'30' is no TTL"),
        ("roles: {web: {min: 010}}", "3:20", "'010' is no whole number"),
        ("roles: {web: {min: 1_0}}", "3:20", "'1_0' is no whole number"),
        ("roles: {web: {warm: 22:00}}", "3:21", "YAML reads it as a number"),
        ("roles: {web: {capacity: 25}}", "3:25", "'25' is no rate"),
        ("roles: {web: {utilisation: 0%}}", "3:15", "above 0%"),
        ("roles: {web: {utilisation: 121%}}", "3:28", "at most 120%"),
        ("roles: {web: {utilisation: 101%}}", "3:15", "needs 'demand: {latency: …}'"),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, roles: {web: {utilisation: 101%}}}]",
            "4:34", "needs 'demand: {latency: …}'"
        ),
        ("roles: {web: {sends: on}}", "3:22", "'on' is no true or false"),
        ("roles: {web: {names: {web: MX}}}", "3:28", "'MX' is no record"),
        ("roles: {web: {names: {web: SRV 10}}}", "3:28", "SRV 10 587"),
        ("roles: {web: {names: {web: HTTPS 0}}}", "3:28", "'HTTPS 0' is no record"),
        ("roles: {web: {answer: -1}}", "3:23", "-1"),
        ("roles: {web: {names: {we_b: A}}}", "3:23", "'we_b' is no name under the zone"),
        ("roles: {web: {empty: gone}}", "3:22", "keep, servfail or nodata"),
        ("roles: {idle: {min: 1}}", "3:9", "not 'idle'"),
        (
            "roles: {web: {min: 1}, www: {names: {web: A}}}\nrole: {}", "4:1",
            "did you mean 'roles'?"
        ),
        (
            "roles: {a: {names: {x: A}}, b: {names: {x: A}}}", "3:29",
            "also used by role 'a' (line 3)"
        ),
        ("roles: {web: {min: 1}}\nmembers: [{id: s01, pin: wed}]", "4:26", "'wed' is no role"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s_1}]", "4:11", "needs an 'id'"),
        ("roles: {web: {min: 1}}\nmembers:\n  - {id: s01}\n  - {id: s01}", "6:5", "listed twice"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s01, agent: false}]", "4:11", "give one here"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s01, address: 1.2.3}]", "4:30", "no IPv4 or IPv6"),
        (
            "roles: {web: {min: 1}}\nmembers: [{id: s01, pin: web, not: [web]}]", "4:21",
            "which 'not' forbids"
        ),
        ("roles: {web: {min: 1}}\nmembers: 3", "4:10", "is not a list"),
        ("roles: []", "3:8", "is not a mapping"),
        ("roles: {web: &x {min: 1}}", "3:1", "anchors"),
        ("roles: {web: {min: 1}}\non_signal_loss: {mode: panic}", "4:24", "hold or fallback"),
        ("roles: {web: {min: 1}}\nguards: {panic_below: 140%}", "4:23", "no share"),
        (
            "roles: {web: {min: -4}}", "3:20",
            "'-4' is no whole number from 0 to 100000: write digits"
        ),
        ("roles: {web: {priority: 1.5}}", "3:25", "'1.5' is no whole number from 1 to 1000: write"),
        ("roles: {web: {ttl: 30}}", "3:20", "give it a unit"),
        ("roles: {web: {warm: -3}}", "3:21", "'-3' is no duration; use 500ms, 30s, 5m or 2h\n"),
        ("roles: {w\u{0}b: {min: 1}}", "3:10", "the control character U+0000"),
        ("roles: {web: {}}  # \u{85}", "3:21", "the control character U+0085"),
        ("roles: {web: {}}  # \u{2028}", "3:21", "the control character U+2028"),
        ("roles: {web: {min: \"\u{1b}[31m\"}}", "3:21", "the control character U+001B"),
        ("roles: {web: {names: {www: A}}}\nmembers: [{id: web}]", "4:16", "the name of role 'web'"),
        ("roles: {web: {names: {www: A}}}\nmembers: [{id: www}]", "4:16", "a name of role 'web'"),
        ("roles: {web: {min: 1}}\nmembers: [{id: bounce}]", "4:16", "the bounce domain"),
        (
            "roles: {web: {min: 1}}\nbounce_domain: b.smurf.example.test\nmembers: [{id: b}]",
            "5:16", "the bounce domain"
        ),
        (
            "roles: {web: {min: 1}}\nmembers:\n  - {id: a1, address: 10.0.0.1}\n"
                + "  - {id: a2, addresses: [\"::2\", 10.0.0.1]}", "6:33",
            "the address of member 'a1' too (line 5)"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, when: {x: '> 2/s'}, until: {x: '< 3/s'}}]",
            "4:40", "not on the other side of 'when' (x > 2 needs an end < 2): the phase would flap"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, when: {x: '> 2/s'}, until: {x: '> 1/s'}}]",
            "4:40", "would flap"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, when: {x: '> 2'}}]", "4:20",
            "'until' is missing: say what ends the phase"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, until: {x: '> 2'}}]", "4:20",
            "without 'when'"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, when: {x: 5}, until: {x: '< 2'}}]", "4:30",
            "'5' is no condition; write \"> 50000\""
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, when: {x: > 5}}]", "4:30",
            "quote what begins"
        ),
        (
            "roles: {web: {min: 1}}\nphases:\n  - name: a\n    when:\n      x: > 5", "7:12",
            "quote what"
        ),
        ("roles: {web: {names: {@: A}}}", "3:23", "quote the key: \"@\""),
        (
            "roles: {web: {min: 1}}\nphases: [{when: {x: '> 5'}, until: {x: '< 3'}}]", "4:10",
            "a 'name'"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a}, {name: a}]", "4:22",
            "there twice (first on line 4)"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, roles: {wbe: {max: 1}}}]", "4:28",
            "'wbe' is no role of this policy; did you mean 'web'?"
        ),
        (
            "roles: {web: {min: 3}}\nphases: [{name: a, roles: {web: {max: 2}}}]", "4:28",
            "min (3) is greater than max (2); the role itself says min 3"
        ),
        (
            "roles: {web: {min: 3}}\nphases: [{name: a, roles: {web: {names: {a: A}}}}]", "4:34",
            "unknown key 'names' in role 'web' of the phase"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, daily: {from: 22:00, to: '06:00'}}]",
            "4:34",
            "22:00 unquoted is the number 1320 to YAML: write \"22:00\""
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, daily: {from: '25:00', to: '06:00'}}]",
            "4:34",
            "no time of day"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, daily: {from: '05:00'}}]", "4:20",
            "needs 'to'"
        ),
        ("roles: {web: {min: 1}}\nphases: [{name: a, idle: wbe}]", "4:26", "'wbe' is no role"),
        ("roles: {web: {min: 1}}\nsignals: {a: {every: 5s}}", "4:11", "by one of 'prometheus'"),
        (
            "roles: {web: {min: 1}}\nsignals: {a: {command: [true]}}", "4:15",
            "a program's full path"
        ),
        (
            "roles: {web: {min: 1}}\nsignals: {a: {prometheus: 'https://x', query: y}}", "4:27",
            "no address of a Prometheus server"
        ),
        (
            "roles: {web: {min: 1}}\nsignals: {a: {prometheus: 'http://x'}}", "4:15",
            "'query' is missing"
        ),
        (
            "roles: {web: {min: 1}}\nsignals: {bounces.arrival: {command: [/x]}}", "4:11",
            "measured by the farm itself"
        ),
        (
            "roles: {web: {capacity: 1/s, demand: {arrival: a, predict: {from: b, lag: 60m..5m}}}}",
            "3:75", "'60m..5m' is no lag; write the shortest and longest, as in 5m..60m"
        ),
        (
            "roles: {web: {capacity: 1/s, demand: {arrival: a, predict: {lag: 5m..60m}}}}", "3:51",
            "'from' is missing"
        ),
        (
            "roles: {web: {capacity: 1/s, demand: {arrival: a, predict: {form: b, lag: 5m..60m}}}}",
            "3:61", "did you mean 'from'?"
        ),
        (
            "roles: {web: {capacity: 1/s, demand: {backlog: a, predict: {from: b, lag: 5m..60m}}}}",
            "3:51", "'predict' foretells 'arrival'"
        ),
        (
            "roles: {web: {names: {web: A}, drain: {wait: cores-acked}}}", "3:32",
            "'wait: cores-acked' is for smtp-out"
        ),
        (
            "roles: {smtp-out: {drain: {wait: acked}}}", "3:34",
            "'acked' is no way to wait; use ttl or cores-acked"
        ),
        (
            "roles: {web: {min: 1}}\nsignals: {a: {command: [/x], age: time()}}", "4:30",
            "'age' is for 'prometheus'"
        ),
        (
            "roles: {web: {capacity: 1/s, demand: {arrival: a}, measured_within: 50%}}", "3:52",
            "'measured_within' needs 'capacity' and 'demand: {backlog"
        ),
        ("roles: {web: {min: 1}}\nguards: {black_hole_aftr: 5m}", "4:10", "'black_hole_after'?"),
        (
            "roles: {web: {min: 1}}\nmembers: [{match: {label: rack}, not: [web]}]", "4:27",
            "'rack' is no label; write KEY=VALUE, as in rack=b"
        ),
        (
            "roles: {web: {min: 1}}\nmembers: [{match: {lable: a=b}, not: [web]}]", "4:20",
            "did you mean 'label'?"
        ),
        (
            "roles: {web: {min: 1}}\nmembers: [{match: {label: a=b}, id: s01, not: [web]}]", "4:33",
            "either 'id' or 'match'"
        ),
        (
            "roles: {web: {min: 1}}\nmembers: [{match: {label: a=b}, pin: web, not: [web]}]",
            "4:33",
            "which 'not' forbids"
        ),
        (
            "roles: {web: {min: 1}}\nmembers:\n  - {match: {label: a=b}, pin: web}\n"
                + "  - {match: {label: a=b}, not: [web]}", "6:5", "matched twice (first on line 5)"
        ),
        (
            "roles: {web: {min: 1}}\nmembers: [{match: {label: a=b}, not: [wbe]}]", "4:39",
            "'wbe' is no role of this policy; did you mean 'web'?"
        ),
        (
            "roles: {web: {min: 1}}\nmembers: [{match: {label: a=b}, not: [web], weight: 3}]",
            "4:45",
            "unknown key 'weight' in members by label"
        ),
        (
            "roles: {web: {min: 1, needs: [egress25]}}", "3:31",
            "'egress25' is no label; write KEY=VALUE, as in rack=b"
        ),
        ("roles: {web: {min: 1, needs: a=b}}", "3:30", "'needs' is not a list"),
        ("roles: {web: {min: 1, share: 120%}}", "3:30", "'120%' is no share; use 40% or 0.4"),
        (
            "roles: {web: {min: 1}}\nmembers: [{id: s01, capacity: 5%}]", "4:31",
            "'5%' is no share of the role's capacity; use 200% or 2"
        ),
        (
            "roles: {web: {min: 1}}\nmembers: [{id: s01, labels: [rack]}]", "4:30",
            "'rack' is no label"
        ),
        (
            "roles: {web: {min: 1}}\nphases: [{name: a, daily: {from: \"22:00\", to: \"06:00\"}, "
                + "roles: {web: {share: x}}}]", "4:78", "'x' is no share"
        ),
        (
            "roles:\n  web: {min: 1}\n  mx: {min: 1}\n  web: {min: 2}", "6:3",
            "'web' is written twice in one mapping (first on line 4): keep one"
        ),
        (
            "roles: {web: {min: 1, max: 3, min: 2}}", "3:31",
            "'min' is written twice in one mapping (first on line 3): keep one"
        ),
        (
            "roles: {web: {min: 1}}\nmembers:\n  - id: s01\n    pin: web\n    id: s02", "7:5",
            "'id' is written twice in one mapping (first on line 5): keep one"
        ),
        ("roles: {web: {min:1}}", "3:15", "unknown key 'min:1' in role 'web'; write a blank after"),
        ("roles: {web: {capacity: 1e3/s}}", "3:25", "'1e3/s' is no rate"),
        ("roles: {web: {warm: 0x10s}}", "3:21", "'0x10s' is no duration"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s1, address: 0.0.0.0}]", "4:29", "unspecified"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s1, address: '::'}]", "4:29", "unspecified"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s1, address: 224.0.0.1}]", "4:29", "multicast"),
        ("roles: {web: {min: 1}}\nmembers: [{id: s1, address: 'ff02::1'}]", "4:29", "multicast"),
        (
            "roles: {web: {min: 1}}\nmembers: [{id: s1, address: 255.255.255.255}]", "4:29",
            "broadcast"
        ),
    ])
    func saysWhereAndWhat(_ body: String, _ place: String, _ part: String) {
        let error = #expect(throws: PolicyErrors.self) {
            try parsePolicy(PolicyLoaderTests.head + body, file: "farm.yml")
        }
        let text = error?.description ?? ""
        #expect(text.contains("farm.yml:\(place): error: "), "\(text)")
        #expect(text.contains(part), "\(text)")
    }

    @Test func anotherVersionIsToldWhichToWrite() {
        let error = #expect(throws: PolicyErrors.self) {
            try parsePolicy("version: 2\nzone: a.example\nroles: {web: {min: 1}}", file: "x")
        }
        #expect(
            error?.description.hasPrefix("x:1:10: error: '2' is no known value: write 1\n") ?? false
        )
    }

    @Test(arguments: [
        "", "# nothing\n", "version: 2\nzone: a.example\nroles: {web: {min: 1}}", "zone: a.example",
        "version: 1\nroles: {web: {min: 1}}", "version: 1\nzone: nodot\nroles: {web: {min: 1}}",
        "version: 1\nversion: 1\n", "\tversion: 1", "version: [1", "- 1\n- 2", "just text",
    ])
    func refusesWhatIsNoPolicy(_ text: String) {
        #expect(throws: PolicyErrors.self) { try parsePolicy(text, file: "x") }
    }

    @Test func findsAllErrorsInOnePass() {
        let text = PolicyLoaderTests.head + "roles:\n  web: {min: x, ttl: y, warm: z}\n"
        let error = #expect(throws: PolicyErrors.self) { try parsePolicy(text, file: "farm.yml") }
        #expect(error?.problems.count == 3)
        #expect(error?.problems.first?.snippet.hasSuffix("             ^") ?? false)
    }

    @Test func fillsDefaultsIn() throws {
        let text =
            PolicyLoaderTests.head
            + "defaults: {ttl: 7s, drain: {grace: 1s}}\nroles: {web: {min: 1}}"
        let policy = try parsePolicy(text, file: "x").policy
        let rule = try #require(policy.roles.first)
        #expect(rule.ttl == 7 && rule.drain.grace == .seconds(1) && rule.service == .web)
        #expect(policy.bounceDomain == "bounce.smurf.example.test")
    }

    /// Paths of all policies that people are given to start from.
    static let examples: [String] = {
        let directory = Product.root + "/Examples/policies"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix(".yml") }.sorted().map { "\(directory)/\($0)" }
    }()

    @Test func loadsTheExamples() throws {
        #expect(PolicyLoaderTests.examples.count >= 6)
        for path in PolicyLoaderTests.examples {
            #expect(try loadPolicy(path: path).warnings.isEmpty, "\(path)")
        }
    }

    /// What is not wrong but will surprise.
    @Test(arguments: [
        (
            "phases: [{name: a}, {name: b}]", "4:22",
            "phase 'b' can never be reached: phase 'a' before it has neither"
        ),
        (
            "phases: [{name: a, when: {bounce.arrival: '> 2'}, until: {bounces.arrival: '< 1'}}]",
            "4:10", "nothing measures 'bounce.arrival'; did you mean 'bounces.arrival'?"
        ),
    ])
    func warnsOfWhatWillSurprise(_ body: String, _ place: String, _ part: String) throws {
        let text = PolicyLoaderTests.head + "roles: {web: {min: 1}}\n" + body
        let warnings = try parsePolicy(text, file: "farm.yml").warnings.map(\.description)
        #expect(
            warnings.contains { $0.contains("farm.yml:\(place): warning: ") && $0.contains(part) },
            "\(warnings)")
    }

    @Test(arguments: [
        (
            "roles: {web: {min: 1, needs: [a=b, c=d]}}\n"
                + "members: [{id: s01, address: 192.0.2.1, agent: false, labels: [a=b]}]",
            "role 'web' needs a=b, c=d: 0 of 1 members have it, its floor is 1"
        ),
        (
            "roles: {web: {share: 60%}, mx: {share: 0.5}}",
            "the shares of the roles add up to 110 % of the farm; priority decides"
        ),
    ])
    func warnsOfWhatCannotBe(_ body: String, _ part: String) throws {
        let text = PolicyLoaderTests.head + body
        let warnings = try parsePolicy(text, file: "farm.yml").warnings.map(\.description)
        #expect(warnings.contains { $0.contains(part) }, "\(warnings)")
    }

    @Test func needsSharesAndCapacitiesAreRead() throws {
        let text =
            PolicyLoaderTests.head + """
                roles: {web: {share: 25%, needs: [b=2, a=1, b=2]}}
                members: [{id: s01, capacity: 250%, labels: [b=2]}, {id: s02, capacity: 0.5}]
                phases: [{name: a, daily: {from: "22:00", to: "06:00"}, roles: {web: {share: 50%}}}]
                """
        let policy = try parsePolicy(text, file: "farm.yml").policy
        let rule = try #require(policy.roles.first)
        #expect(rule.share == 0.25 && rule.needs.map(\.text) == ["a=1", "b=2"])
        #expect(policy.members.map(\.capacity) == [2.5, 0.5])
        #expect(policy.members.map { $0.labels.map(\.text) } == [["b=2"], []])
        #expect(policy.during(policy.phases.first).roles.first?.share == 0.5)
    }

    @Test func phasesAreRead() throws {
        let text =
            PolicyLoaderTests.head + """
                roles: {web: {min: 1, max: 4}, bulk: {}}
                phases:
                  - name: bulge
                    when: {bounces.arrival: "> 120/m", unsubscribes.p95: ">= 800ms", for: 10s}
                    until: {bounces.arrival: "<= 0.5/s", for: 10m}
                    roles: {web: {max: 2, min: 0, priority: 3, soak: 2, utilisation: 50%}}
                  - {name: night, daily: {from: "22:00", to: "06:30"}, idle: bulk}
                """
        let policy = try parsePolicy(text, file: "x").policy
        let web = try #require(Role("web"))
        #expect(policy.phases.map(\.name) == ["bulge", "night"])
        let latch = try #require(policy.phases[0].latch)
        #expect(
            latch.when == [
                .init(signal: "bounces.arrival", .above, 2),
                .init(signal: "unsubscribes.p95", .atLeast, 0.8),
            ])
        #expect(latch.until == [.init(signal: "bounces.arrival", .atMost, 0.5)])
        #expect(latch.entering == .seconds(10) && latch.leaving == .seconds(600))
        #expect(
            policy.phases[0].changes[web]
                == RoleChanges(min: 0, max: 2, priority: 3, soak: 2, utilisation: 0.5))
        #expect(policy.phases[1].hours?.to.minute == 390)
        #expect(policy.phases[1].idle?.name == "bulk")
        #expect(policy.during(policy.phases[0])[web]?.max == 2)
    }

    @Test func hostileTextIsAnErrorNeverATrap() throws {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("policy text"))
        let seedFarm = try String(
            contentsOfFile: Product.root + "/Examples/policies/seed-farm.yml", encoding: .utf8)
        let scalars = Array("{}[]:,-#&*!|>'\"%@`\n\t 019azé\u{0}\u{85}".unicodeScalars)
        for _ in 0..<300 {
            var text = Array(seedFarm.unicodeScalars)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let index = Int.random(in: 0..<text.count, using: &random)
                text[index] = scalars.randomElement(using: &random) ?? " "
            }
            var mutated = String.UnicodeScalarView()
            mutated.append(contentsOf: text)
            _ = try? parsePolicy(String(mutated), file: "x")
        }
    }
}

@Suite struct RoleNameTests {
    @Test func namesOfServicesAndPartialAnswersAreRead() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.write(
            "farm.yml",
            "version: 1\nzone: smurf.example.test\n" + """
                roles:
                  web: {names: {web: "A, HTTPS 1", _submission._tcp: SRV 10 587}, answer: 4}
                members:
                  - {id: s01, address: 127.0.1.1, weight: 3}
                """)
        let policy = try loadPolicy(path: path).policy
        let rule = try #require(policy.roles.first)
        #expect(rule.answer == 4)
        #expect(
            rule.names.map(\.description) == [
                "_submission._tcp SRV 10 587", "web A", "web HTTPS 1",
            ])
        #expect(policy.members.first?.weight == 3)
    }
}
