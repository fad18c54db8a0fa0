import DeliveryCore
import Foundation
import HTTPTypes
import Hummingbird
import Mustache
import NIOCore

/// Answers the requests of the web role. What a request asks for `UnsubscribeRequest` decides; whether its
/// token is good the farm's keys; "200" is said when the request is on disk.
struct UnsubscribeDesk: HTTPResponder {
    typealias Context = BasicRequestContext

    /// RFC 8058's form has 26 octets; a browser's not many more.
    static let bodyLimit = 16_384

    let base: String
    let spool: FeedbackSpool
    let counters: AgentCounters
    /// The farm's token keys as of now.
    let keys: @Sendable () -> [[UInt8]]
    let state = ServiceReadiness()
    let meter = RequestMeter()

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
        let response = await respond(to: request)
        // RFC 9110 §9.3.2: the same fields, no content.
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func respond(to request: Request) async -> Response {
        guard state.isReady else { return Self.unavailable }
        if request.uri.path == UnsubscribeListener.healthPath {
            return page(.ok, UnsubscribePage.plain("ready"))
        }
        return await meter.measure { await answer(request) }
    }

    private func answer(_ request: Request) async -> Response {
        var body: [UInt8] = []
        if request.method == .post {
            var request = request
            guard let bytes = try? await request.collectBody(upTo: Self.bodyLimit) else {
                return page(.contentTooLarge, UnsubscribePage.plain("That is too much."))
            }
            body = Array(bytes.readableBytesView)
        }
        let wish = UnsubscribeRequest.route(
            method: request.method.rawValue, path: request.uri.path, body: body, base: base)
        switch wish {
        case .showForm(let token):
            guard verified(token) != nil else { return Self.unknown(self) }
            return page(.ok, UnsubscribePage.form)
        case .unsubscribe(let token, _): return await unsubscribe(token)
        case .notFound: return Self.unknown(self)
        case .badRequest:
            return page(
                .badRequest,
                UnsubscribePage.plain("This form is not understood; open the link again."))
        case .methodNotAllowed:
            var response = page(.methodNotAllowed, UnsubscribePage.plain("Use GET or POST."))
            response.headers[.allow] = "GET, HEAD, POST"
            return response
        }
    }

    private func unsubscribe(_ text: String) async -> Response {
        guard let token = verified(text) else { return Self.unknown(self) }
        do {
            try await spool.append(
                AgentFeedback(
                    kind: .unsubscribe, mailing: token.mailing, recipient: token.recipient,
                    unixTime: Int64(Date().timeIntervalSince1970)))
        } catch {
            return Self.unavailable
        }
        counters.addUnsubscribe()
        return page(.ok, UnsubscribePage.done)
    }

    private func verified(_ text: String) -> BounceToken? {
        let today = UInt16(clamping: Int64(Date().timeIntervalSince1970) / 86_400)
        return TokenMint(keys: keys())?.verify(text, today: today)
    }

    private static func unknown(_ desk: UnsubscribeDesk) -> Response {
        desk.page(
            .notFound,
            UnsubscribePage.plain("This link is not complete, or too old. Nothing was changed."))
    }

    /// Another address behind the name will take it.
    private static var unavailable: Response {
        Response(
            status: .serviceUnavailable, headers: [.retryAfter: "2", .connection: "close"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: "try again\n")))
    }

    private func page(_ status: HTTPResponse.Status, _ html: String) -> Response {
        let bytes = ByteBuffer(string: html)
        var headers: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
            .contentSecurityPolicy:
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
            .xContentTypeOptions: "nosniff",
        ]
        headers[Self.referrerPolicy] = "no-referrer"
        return Response(
            status: status, headers: headers, body: ResponseBody(byteBuffer: bytes))
    }

    private static let referrerPolicy =
        HTTPField.Name("Referrer-Policy") ?? HTTPField.Name.contentLanguage
}

/// The few pages that recipients see.
enum UnsubscribePage {
    private static let frame = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">
        <meta name="viewport" content="width=device-width"><title>{{title}}</title>
        <style>body{font:18px sans-serif;max-width:32em;margin:3em auto;padding:0 1em}
        button{font:inherit;padding:.6em 1.2em}</style></head>
        <body><h1>{{title}}</h1><p>{{text}}</p>{{#form}}<form method="post">
        <input type="hidden" name="List-Unsubscribe" value="One-Click">
        <button type="submit">{{form}}</button></form>{{/form}}</body></html>

        """

    /// GET: changes nothing.
    static let form = render([
        "title": "Unsubscribe", "text": "Do you want no more mail of this list?",
        "form": "Unsubscribe me",
    ])

    static let done = render([
        "title": "Unsubscribed", "text": "It is noted. Mail that is on its way may still arrive.",
    ])

    static func plain(_ text: String) -> String { render(["title": "Unsubscribe", "text": text]) }

    private static let template = try? MustacheTemplate(string: frame)

    private static func render(_ values: [String: String]) -> String {
        template?.render(values) ?? (values["text"] ?? "")
    }
}
