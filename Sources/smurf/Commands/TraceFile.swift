import ArgumentParser
import Foundation
import RoleSimulation

/// A file of JSON lines that holds a trace. All or nothing: a faulty line is an error that names it.
enum TraceFile {
    /// More than that is no trace of a mailing.
    private static let limit = 256 << 20

    /// - Throws: `Report.badInput` after one message.
    static func read(_ path: String) throws -> Trace {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw Report.failure("cannot read \(path)", status: Report.badInput)
        }
        guard data.count <= limit else {
            throw Report.failure("\(path) is larger than 256 MB", status: Report.badInput)
        }
        let decoder = JSONDecoder()
        var lines: [Trace.Line] = []
        let texts = data.split(separator: 0x0A, omittingEmptySubsequences: false)
        for (index, text) in texts.enumerated() where !text.isEmpty {
            guard let line = try? decoder.decode(Trace.Line.self, from: text) else {
                throw refusal(
                    path, index,
                    "not a line like {\"at\":12,\"signal\":\"bounces.arrival\",\"value\":2.5}")
            }
            if let fault = line.fault { throw refusal(path, index, fault) }
            lines.append(line)
        }
        guard !lines.isEmpty else {
            throw Report.failure("\(path) is empty", status: Report.badInput)
        }
        return Trace(lines)
    }

    /// - Throws: `Report.failure` when it cannot be written.
    static func write(_ trace: Trace, to path: String) throws {
        let data = try text(trace)
        do { try data.write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
            throw Report.failure("cannot write \(path): \(error.localizedDescription)")
        }
    }

    static func text(_ trace: Trace) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        var data = Data()
        for line in trace.lines {
            data += try encoder.encode(line)
            data.append(0x0A)
        }
        return data
    }

    private static func refusal(_ path: String, _ index: Int, _ text: String) -> ExitCode {
        Report.failure("\(path):\(index + 1): \(text)", status: Report.badInput)
    }
}
