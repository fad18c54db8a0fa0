/// What a request to the unsubscribe address asks for. A GET never changes anything, because link scanners
/// follow every link; only a POST of RFC 8058's one-click form, or of the page's own form, acts.
public enum UnsubscribeRequest: Hashable, Sendable {
    /// Show the page with its confirm button.
    case showForm(token: String)
    case unsubscribe(token: String, isOneClick: Bool)
    /// 404.
    case notFound
    /// 400: a POST without a form that is understood.
    case badRequest
    /// 405: neither GET, HEAD nor POST.
    case methodNotAllowed

    /// - Parameters:
    ///   - path: of the request, hostile; a query is ignored.
    ///   - body: at most a few KB; more than 16 KiB is a bad request.
    ///   - base: what stands before the token in the path.
    public static func route(
        method: String, path: String, body: [UInt8], base: String = "/u/"
    ) -> UnsubscribeRequest {
        let plain = path.prefix { $0 != "?" && $0 != "#" }
        guard plain.hasPrefix(base) else { return .notFound }
        let token = String(plain.dropFirst(base.count))
        guard token.utf8.count == TokenMint.length, token.utf8.allSatisfy(ASCII.isAlphanumeric)
        else { return .notFound }
        switch method {
        case "GET", "HEAD": return .showForm(token: token)
        case "POST": break
        default: return .methodNotAllowed
        }
        guard body.count <= 16_384 else { return .badRequest }
        if has(body, name: "list-unsubscribe", value: "one-click") {
            return .unsubscribe(token: token, isOneClick: true)
        }
        if has(body, name: "confirm", value: "yes") {
            return .unsubscribe(token: token, isOneClick: false)
        }
        return .badRequest
    }

    /// Whether a form, urlencoded or multipart/form-data, has this pair.
    private static func has(_ body: [UInt8], name: String, value: String) -> Bool {
        for pair in body.split(separator: 0x26)
        where ASCII.equalsIgnoringCase(ASCII.trimmed(pair), "\(name)=\(value)") { return true }
        let lines = body.split(separator: ASCII.lineFeed).map { ASCII.trimmed($0) }
        var named = false
        for line in lines where !line.isEmpty {
            if ASCII.hasPrefixIgnoringCase(line, "content-disposition:") {
                named = ASCII.text(line).lowercased().contains("name=\"\(name)\"")
            } else if named, ASCII.equalsIgnoringCase(line, value) {
                return true
            }
        }
        return false
    }
}
