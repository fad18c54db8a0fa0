/// The role service `smtp-out`: the feed for our own core and submission for everybody else's mailers.
struct OutboundService: RoleService {
    let feed: FeedService
    let submission: SubmissionListener

    func start() async throws {
        try await feed.start()
        do {
            try await submission.start()
        } catch {
            await feed.stop(grace: .zero)
            throw error
        }
    }

    func stop(grace: Duration) async {
        async let closed: Void = submission.stop(grace: grace)
        await feed.stop(grace: grace)
        await closed
    }

    var activity: RoleActivity {
        let (own, others) = (feed.activity, submission.activity)
        return RoleActivity(
            isReady: own.isReady && others.isReady,
            connections: own.connections + others.connections)
    }
}
