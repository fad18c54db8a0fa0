public import AuthDNSCore
import Foundation

/// A file of TSIG keys as `tsig-keygen` prints them and BIND, NSD and Knot have them too:
///
///     key "farm" {
///         algorithm hmac-sha256;
///         secret "base64";
///     };
public enum TSIGKeysFile {
    /// - Throws: when it cannot be read, when others than owner and group may read it, or by line and column
    ///   when it is no list of keys.
    public static func read(_ path: String) throws(NameServerError) -> [TSIGKey] {
        let facts = try? FileManager.default.attributesOfItem(atPath: path)
        guard let bytes = FileManager.default.contents(atPath: path), let facts else {
            throw NameServerError("cannot read \(path)")
        }
        let mode = (facts[.posixPermissions] as? NSNumber)?.intValue ?? 0
        guard mode & 0o007 == 0 else {
            throw NameServerError(
                "anybody may read the keys in \(path): say 'chmod 600 \(path)'")
        }
        var parser = Parser(text: Array(String(decoding: bytes, as: UTF8.self)), path: path)
        let keys = try parser.keys()
        guard !keys.isEmpty else {
            throw NameServerError("\(path) has no key; make one by 'tsig-keygen NAME'")
        }
        return keys
    }

    private struct Parser {
        let text: [Character]
        let path: String
        private var index = 0

        init(text: [Character], path: String) {
            self.text = text
            self.path = path
        }

        mutating func keys() throws(NameServerError) -> [TSIGKey] {
            var keys: [TSIGKey] = []
            while let (word, start) = try token() {
                guard word == "key" else { throw fault(start, "'\(word)': a key begins by 'key'") }
                let key = try key()
                guard !keys.contains(where: { $0.name == key.name }) else {
                    throw fault(start, "a second key is called \(key.name)")
                }
                keys.append(key)
            }
            return keys
        }

        private mutating func key() throws(NameServerError) -> TSIGKey {
            let (text, place) = try next("the key's name")
            guard let name = DomainName(text) else { throw fault(place, "'\(text)' is no name") }
            try expect("{")
            var algorithm = TSIGKey.Algorithm.sha256
            var secret: [UInt8]?
            while true {
                let (word, start) = try next("'algorithm', 'secret' or '}'")
                if word == "}" { break }
                let (value, at) = try next("a value")
                try expect(";")
                switch word {
                case "algorithm":
                    guard let known = TSIGKey.Algorithm(rawValue: value.lowercased()) else {
                        let names = TSIGKey.Algorithm.allCases.map(\.rawValue)
                        throw fault(
                            at, "unknown algorithm '\(value)': \(names.joined(separator: ", "))")
                    }
                    algorithm = known
                case "secret":
                    guard let data = Data(base64Encoded: value) else {
                        throw fault(at, "the secret is not in base64")
                    }
                    secret = Array(data)
                default: throw fault(start, "'\(word)': write algorithm or secret")
                }
            }
            try expect(";")
            guard let secret else { throw fault(place, "the key has no secret") }
            guard let key = TSIGKey(name: name, algorithm: algorithm, secret: secret) else {
                throw fault(place, "the secret is too short: give 16 octets or more")
            }
            return key
        }

        private mutating func expect(_ word: String) throws(NameServerError) {
            let (found, start) = try next("'\(word)'")
            guard found == word else { throw fault(start, "'\(found)' where '\(word)' belongs") }
        }

        private mutating func next(_ what: String) throws(NameServerError) -> (String, Int) {
            guard let found = try token() else {
                throw fault(index, "the file ends before \(what)")
            }
            return found
        }

        /// A word, a quoted string or one of `{};`, and where it begins.
        private mutating func token() throws(NameServerError) -> (String, Int)? {
            skipBlanks()
            guard index < text.count else { return nil }
            let start = index
            if "{};".contains(text[index]) {
                index += 1
                return (String(text[start]), start)
            }
            if text[index] == "\"" {
                guard
                    let end = text[(index + 1)...].firstIndex(where: { $0 == "\"" || $0.isNewline }
                    ),
                    text[end] == "\""
                else { throw fault(start, "this quote is never closed") }
                index = end + 1
                return (String(text[(start + 1)..<end]), start)
            }
            while index < text.count, !text[index].isWhitespace, !"{};\"".contains(text[index]) {
                index += 1
            }
            return (String(text[start..<index]), start)
        }

        /// White space and comments, by `#` or `//`.
        private mutating func skipBlanks() {
            while index < text.count {
                if text[index].isWhitespace {
                    index += 1
                } else if text[index] == "#" || text[index...].starts(with: "//") {
                    while index < text.count, !text[index].isNewline { index += 1 }
                } else {
                    return
                }
            }
        }

        private func fault(_ place: Int, _ what: String) -> NameServerError {
            let before = text[..<min(place, text.count)]
            let line = before.count { $0.isNewline } + 1
            let column = before.count - ((before.lastIndex { $0.isNewline } ?? -1) + 1) + 1
            return NameServerError("\(path):\(line):\(column): error: \(what)")
        }
    }
}
