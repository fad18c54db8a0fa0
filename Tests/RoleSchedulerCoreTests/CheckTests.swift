import RoleSchedulerCore
import TestSupport
import Testing

/// Checks from outside: verdicts that do not follow every answer, and dialogues that any octets may answer.
@Suite struct CheckTests {
    private static let rule = CheckRule(.smtp, port: 25, rise: 2, fall: 3)

    /// `+` a good answer, `-` a bad one; the verdict after each: `g`, `b`, or `?`.
    @Test(arguments: [
        ("+", "g"), ("-", "?"), ("---", "??b"), ("-+", "?g"), ("+--+--+", "ggggggg"),
        ("+---", "gggb"), ("+---+-+-+", "gggbbbbbb"), ("+---++", "gggbbg"),
        ("---++---", "??bbgggb"),
    ])
    func verdictsTakeSeveralAnswers(answers: String, verdicts: String) {
        var state = CheckState()
        let seen = answers.map { answer -> Character in
            state.note(answer == "+" ? nil : "refused", by: Self.rule)
            return state.isGood.map { $0 ? "g" : "b" } ?? "?"
        }
        #expect(String(seen) == verdicts)
    }

    /// What the other side says, split anywhere, and what comes of it.
    private static let dialogues: [(CheckRule.Kind, String, CheckDialogue.Step?)] = [
        (.smtp, "220 mx\r\n250-mx\r\n250 SIZE\r\n", nil),
        (.smtp, "220-a\r\n220 b\r\n250 mx\r\n", nil),
        (.smtp, "554 no\r\n", .bad("greets by '554 no'")),
        (.smtp, "220 mx\r\n502 what\r\n", .bad("answers EHLO by '502 what'")),
        (.smtp, "SSH-2.0-x\r\n", .bad("speaks no SMTP")),
        (.startTLS, "220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n", nil),
        (.startTLS, "220 mx\r\n250-mx\r\n250 SIZE 9\r\n", .bad("offers no STARTTLS")),
        (
            .startTLS, "220 mx\r\n250 mx\r\n250 STARTTLS\r\n454 later\r\n",
            .bad("offers no STARTTLS")
        ),
        (
            .startTLS, "220 mx\r\n250-mx\r\n250 STARTTLS\r\n454 later\r\n",
            .bad("answers STARTTLS by '454 later'")
        ),
        (.http(path: "/"), "HTTP/1.1 200 OK\r\n", nil),
        (.http(path: "/"), "HTTP/1.0 302 Found\r\n", nil),
        (.http(path: "/"), "HTTP/1.1 503 no\r\n", .bad("answers by status 503")),
        (.http(path: "/"), "220 mx ESMTP\r\n", .bad("speaks no HTTP")),
    ]

    @Test(arguments: dialogues.indices)
    func dialoguesEndAsTheyShould(index: Int) {
        let (kind, said, expected) = Self.dialogues[index]
        for piece in [1, 3, 1000] {
            var dialogue = CheckDialogue(kind, name: "farm.example")
            var last = dialogue.connected()
            var rest = Array(said.utf8)[...]
            while !rest.isEmpty, !last.isEnd {
                last = dialogue.heard(rest.prefix(piece))
                rest = rest.dropFirst(piece)
            }
            // What came in one piece with the answer to another question is heard when that is asked.
            while case .say = last { last = dialogue.heard([]) }
            if let expected {
                #expect(last == expected, "\(said) in pieces of \(piece)")
            } else if case .good = last {
            } else {
                Issue.record("\(last) for \(said) in pieces of \(piece)")
            }
        }
    }

    @Test func anyOctetsAreAnAnswer() {
        var random = SeededGenerator(seed: SeededGenerator.announcedSeed("CheckTests"))
        let kinds: [CheckRule.Kind] = [.tcp, .smtp, .startTLS, .http(path: "/x"), .dns]
        for _ in 0..<3_000 {
            var dialogue = CheckDialogue(kinds.randomElement(using: &random) ?? .tcp, name: "x")
            var step = dialogue.connected()
            for _ in 0..<6 where !step.isEnd {
                let words = ["220 ", "250-", "250 ", "\r\n", "STARTTLS", "HTTP/1.1 ", "2", " "]
                let noise = (0..<Int.random(in: 0..<20, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
                let word = Array((words.randomElement(using: &random) ?? "").utf8)
                step = dialogue.heard(Bool.random(using: &random) ? noise : word)
            }
        }
        var endless = CheckDialogue(.smtp, name: "x")
        #expect(endless.heard([UInt8](repeating: 0x32, count: 20_000)) == .bad("an endless answer"))
    }
}

extension CheckDialogue.Step {
    fileprivate var isEnd: Bool {
        switch self {
        case .good, .bad: true
        case .wait, .say: false
        }
    }
}
