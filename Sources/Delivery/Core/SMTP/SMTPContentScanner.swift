/// Finds the end of DATA and undoes dot-stuffing (RFC 5321 §4.5.2). Only CRLF.CRLF ends the data; a bare CR or
/// LF, a NUL or too long a line spoils the message, which is then read to its true end and refused, so
/// that no two programs can disagree on where it ends (CVE-2023-51764).
struct SMTPContentScanner: Sendable {
    private enum State { case lineStart, text, afterReturn, dot, dotReturn }

    private(set) var content: [UInt8] = []
    /// Why the message is refused, if it is.
    private(set) var fault: SMTPReply?
    private var state = State.lineStart
    private var lineLength = 0
    private let maxSize: Int
    private let maxLine: Int

    init(maxSize: Int, maxLine: Int) {
        self.maxSize = maxSize
        self.maxLine = maxLine
    }

    /// Takes octets of DATA.
    /// - Returns: how many were used, and whether the final dot was among them.
    mutating func take(_ bytes: ArraySlice<UInt8>) -> (used: Int, ended: Bool) {
        for index in bytes.indices {
            let byte = bytes[index]
            switch (state, byte) {
            case (.dotReturn, ASCII.lineFeed): return (index - bytes.startIndex + 1, true)
            case (.dotReturn, _):
                bareReturn()
                step(byte)
            case (.dot, ASCII.carriageReturn): state = .dotReturn
            case (.lineStart, ASCII.dot): state = .dot
            case (.dot, _):
                state = .text
                step(byte)
            default: step(byte)
            }
        }
        return (bytes.count, false)
    }

    /// Takes octets of a BDAT chunk: no dots to undo, the same rules for lines.
    mutating func takeChunk(_ bytes: ArraySlice<UInt8>) { for byte in bytes { step(byte) } }

    /// Tells that the content is complete (after the last chunk).
    mutating func finish() { if state == .afterReturn { bareReturn() } }

    private mutating func bareReturn() {
        spoil(SMTPReply(550, "5.6.0 a bare CR is refused: end lines by CRLF"))
        state = .text
    }

    private mutating func step(_ byte: UInt8) {
        if state == .afterReturn {
            if byte == ASCII.lineFeed {
                keep(byte)
                state = .lineStart
                lineLength = 0
                return
            }
            bareReturn()
        }
        if byte == ASCII.lineFeed {
            spoil(SMTPReply(550, "5.6.0 a bare LF is refused: end lines by CRLF"))
        }
        if byte == 0 { spoil(SMTPReply(550, "5.6.0 a NUL octet is refused")) }
        keep(byte)
        lineLength += 1
        if lineLength > maxLine - 1 {
            spoil(SMTPReply(550, "5.6.0 a line has more than \(maxLine - 2) octets"))
        }
        state = byte == ASCII.carriageReturn ? .afterReturn : .text
    }

    private mutating func keep(_ byte: UInt8) {
        guard fault == nil else { return }
        if content.count >= maxSize {
            return spoil(SMTPReply(552, "5.3.4 the message has more than \(maxSize) octets"))
        }
        content.append(byte)
    }

    private mutating func spoil(_ reply: SMTPReply) {
        guard fault == nil else { return }
        fault = reply
        content = []
    }
}
