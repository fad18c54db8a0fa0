import Foundation
import TestSupport

/// What the receiver counted, written by it at its end.
struct SinkReport {
    /// Messages that it answered with 250.
    let accepted: Int
    /// Recipients that got more than one copy.
    let duplicates: [String]

    init(path: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        guard let values = try JSONSerialization.jsonObject(with: data) as? [String: Any],
            let accepted = values["messages"] as? Int,
            let duplicates = values["duplicates"] as? [String]
        else { throw Failure("\(path): \(String(decoding: data, as: UTF8.self))") }
        self.accepted = accepted
        self.duplicates = duplicates
    }
}

/// A message that the receiver kept as a file.
struct KeptMail {
    let path: String
    let text: String

    /// The mailbox of its `To` field.
    var recipient: String {
        for line in text.components(separatedBy: "\r\n") {
            if line.isEmpty { break }
            guard line.lowercased().hasPrefix("to:") else { continue }
            let value = line.dropFirst(3).trimmingCharacters(in: .whitespaces)
            guard let open = value.lastIndex(of: "<"), let close = value.lastIndex(of: ">") else {
                return value
            }
            return String(value[value.index(after: open)..<close])
        }
        return ""
    }

    /// All messages under `directory`.
    static func read(_ directory: String) throws -> [KeptMail] {
        let files = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String }
        return try (files ?? []).filter { $0.hasSuffix(".eml") }.sorted().map { name in
            let path = directory + "/" + name
            let data = try Data(contentsOf: URL(fileURLWithPath: path))
            return KeptMail(path: path, text: String(decoding: data, as: UTF8.self))
        }
    }
}
