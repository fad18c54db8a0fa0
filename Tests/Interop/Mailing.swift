import Foundation
import TestSupport

/// A table of recipients for tests: ordinary and awkward values, each row different.
enum RecipientRows {
    static func address(_ number: Int) -> String {
        "reader\(number)@inbox\(number % 7).example.net"
    }

    /// CSV with a byte order mark, quoted line ends and quotes inside.
    static func csv(_ count: Int) -> String {
        let cities = ["Zürich", "", "São Paulo", "Praha; \"Prag\"", "東京", "O'Fallon <IL> & more"]
        let notes = [
            "plain", "two\nlines", ".", "..\n.\nMAIL FROM:<x@y>", "a & b < c > \"d\" 'e'",
            String(repeating: "long ", count: 60) + "end", "=3D =C3=BC {{name}}", "🏔️ Berge",
        ]
        var text = "\u{FEFF}address,name,city,number,member,note\r\n"
        for number in 1...count {
            let values = [
                address(number), "Reader Nº\(number), Dr.", cities[number % cities.count],
                "\(number * 7919)", number % 3 == 0 ? "\(1980 + number % 40)" : "",
                notes[number % notes.count],
            ]
            text += values.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
                .joined(separator: ",")
            text += "\r\n"
        }
        return text
    }
}

/// What `smurf mailing show --json` says.
struct MailingState {
    let state: String
    let total: Int
    let counts: [String: Int]
    let doubtful: Int
    let bounced: Int

    var settled: Int { ["accepted", "delivered"].reduce(0) { $0 + (counts[$1] ?? 0) } }
    var sum: Int { counts.values.reduce(0, +) }

    /// - Parameter json: protobuf's JSON: 64-bit numbers are strings, empty fields are left out.
    init(json: String) throws {
        let object = try JSONSerialization.jsonObject(with: Data(json.utf8))
        guard let values = object as? [String: Any] else { throw Failure(json) }
        func number(_ value: Any?) -> Int {
            (value as? Int) ?? (value as? String).flatMap { Int($0) } ?? 0
        }
        state = values["state"] as? String ?? ""
        total = number(values["total"])
        doubtful = number(values["doubtful"])
        bounced = number(values["bounced"])
        counts = (values["counts"] as? [String: Any] ?? [:]).mapValues(number)
    }
}

extension FarmFixture {
    /// The mailing's state, or nil while the control node does not answer.
    func mailing(_ name: String) async throws -> MailingState? {
        let shown = try await smurf("mailing", "show", name, "--json")
        return shown.status == 0 ? try MailingState(json: shown.output) : nil
    }

    /// Addresses of the recipients with a state or mark.
    func recipients(_ name: String, state: String) async throws -> Set<String> {
        let listed = try await smurf("mailing", "recipients", name, "--state", state, "--json")
        guard listed.status == 0 else { throw Failure(listed.errors) }
        return try Set(
            listed.output.split(separator: "\n").map { line in
                let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
                guard let address = (object as? [String: Any])?["address"] as? String else {
                    throw Failure(String(line))
                }
                return address
            })
    }
}

/// Our independent judge of what arrived: see `compare.py`.
struct Comparison: Decodable {
    let messages: Int
    let distinct: Int
    let recipients: Int
    let missing: [String]
    let twice: [String]
    let wrong: [String]

    static func make(template: String, table: String, mail: String) async throws -> Comparison {
        let script = Product.root + "/Tests/Interop/compare.py"
        let result = try await run(["python3", script, template, table, mail])
        guard result.status == 0 else { throw Failure(result.errors) }
        return try JSONDecoder().decode(Comparison.self, from: Data(result.output.utf8))
    }
}
