import ArgumentParser
import Foundation

/// How the commands talk to people: results on standard output, everything else on standard error,
/// and an exit status that a script can use.
enum Report {
    /// Exit status of bad input: nothing was changed.
    static let badInput = ExitCode(2)

    /// Whether standard output is a terminal, where lines may be repainted.
    static var isTerminal: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Prints to standard error.
    static func note(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }

    /// Prints "smurf: `text`" to standard error and gives the error to throw.
    static func failure(_ text: String, status: ExitCode = .failure) -> ExitCode {
        note("smurf: " + text)
        return status
    }

    /// Writes to standard output without a line end, at once.
    static func paint(_ text: String) {
        // A full disk or a closed pipe is no reason to crash.
        try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    }
}
