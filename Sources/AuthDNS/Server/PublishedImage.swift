import AuthDNSCore
import Synchronization

/// What is served now, handed from those who change it to the threads that answer: the image, how it came
/// about, who may have it whole, and what replies say about the server itself. A reader keeps its own reference and looks at the generation once
/// per batch: no lock and no reference count while nothing changes.
final class PublishedImage: Sendable {
    private let generation = Atomic<UInt64>(1)
    private let served: Mutex<Served>

    private struct Served {
        var image: ZoneImage
        var history: ZoneHistory
        var peers: TransferPeers
        var settings: AnswerSettings
    }

    /// How often somebody told of a new version.
    let notifications = Atomic<UInt64>(0)

    init(
        _ image: ZoneImage, _ history: ZoneHistory, _ peers: TransferPeers,
        _ settings: AnswerSettings
    ) {
        served = Mutex(
            Served(image: image, history: history, peers: peers, settings: settings))
    }

    var current: ZoneImage { served.withLock { $0.image } }

    func replace(with new: ZoneImage, _ history: ZoneHistory) {
        served.withLock { ($0.image, $0.history) = (new, history) }
        generation.wrappingAdd(1, ordering: .releasing)
    }

    /// What answers transfers and signed queries now.
    var responder: PeerResponder {
        served.withLock {
            PeerResponder(
                peers: $0.peers, image: $0.image, history: $0.history, settings: $0.settings)
        }
    }

    /// Somebody told of a new version. Any thread.
    func noteNotify() { notifications.wrappingAdd(1, ordering: .relaxed) }

    func change<Result: Sendable>(_ body: (inout AnswerSettings) -> Result) -> Result {
        let result = served.withLock { body(&$0.settings) }
        generation.wrappingAdd(1, ordering: .releasing)
        return result
    }

    /// One thread's view.
    struct View {
        private var seen: UInt64
        private(set) var image: ZoneImage
        private(set) var settings: AnswerSettings

        init(_ published: PublishedImage) {
            seen = published.generation.load(ordering: .acquiring)
            (image, settings) = published.served.withLock { ($0.image, $0.settings) }
        }

        /// Whether nothing was replaced since.
        func isCurrent(_ published: PublishedImage) -> Bool {
            published.generation.load(ordering: .acquiring) == seen
        }

        mutating func refresh(_ published: PublishedImage) {
            let now = published.generation.load(ordering: .acquiring)
            guard now != seen else { return }
            (image, settings) = published.served.withLock { ($0.image, $0.settings) }
            seen = now
        }
    }
}
