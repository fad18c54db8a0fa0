import ArgumentParser

struct ServeCommand: AsyncParsableCommand { func run() async throws {} }
struct AgentCommand: AsyncParsableCommand { func run() async throws {} }
struct SendCommand: AsyncParsableCommand { func run() async throws {} }
struct PolicyCommand: AsyncParsableCommand { func run() async throws {} }
struct ZoneCommand: AsyncParsableCommand { func run() async throws {} }
