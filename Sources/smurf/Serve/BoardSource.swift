import AuthDNS
import Farm
import FarmProtocol
import RoleScheduler
import RoleSchedulerCore
import SwiftProtobuf

/// The farm's board in the words of the protocol: what the scheduler and the name server know, put
/// together for showing.
struct BoardSource: Sendable {
    let scheduler: RoleSchedulerService
    let nameServer: NameServer
    let zone: String

    func view() async -> Smurffarm_V1_BoardView {
        let board = await scheduler.board()
        let counters = nameServer.counters
        let farm = await PolicyDesk.farmPolicy(of: scheduler)
        return .with {
            $0.zone = zone
            $0.serial = nameServer.serial
            $0.version = board.version
            $0.roles = board.roles.map(BoardSource.line)
            $0.smurfs = board.smurfs.map(BoardSource.line)
            $0.signals = board.signals.map { signal in
                .with {
                    $0.name = signal.name
                    $0.value = signal.value ?? 0
                    $0.ageSeconds = signal.ageSeconds
                }
            }
            $0.notes = board.notes
            $0.phase = board.phase ?? ""
            if let standing = board.standing {
                $0.cluster = BoardSource.cluster(standing)
                if let farm { $0.cluster.policy = farm }
            }
            $0.dns.queries = counters.queries
            $0.dns.answers = counters.answers
            $0.dns.refused = counters.refusals
            $0.dns.formErrors = counters.formatErrors
        }
    }

    private static func cluster(_ standing: Standing) -> Smurffarm_V1_ClusterView {
        .with {
            $0.node = standing.node
            $0.leads = standing.term != nil
            $0.term = standing.leaderTerm
            $0.trouble = standing.trouble
            $0.alarm = standing.alarm
            $0.nodes = standing.nodes.map { node in
                .with {
                    $0.node = node.node
                    $0.agents = node.agents
                    $0.serial = node.serial ?? 0
                    $0.leads = node.node == standing.leader?.node
                }
            }
        }
    }

    private static func line(_ role: Board.RoleLine) -> Smurffarm_V1_RoleLine {
        .with {
            $0.role = role.rule.role.name
            $0.priority = UInt32(clamping: role.rule.priority)
            $0.minimum = UInt32(clamping: role.rule.min)
            $0.maximum = UInt32(clamping: role.rule.max ?? 0)
            $0.target = UInt32(clamping: role.target)
            $0.serving = role.serving.map(\.name)
            $0.names = role.rule.names.map(\.description)
            $0.because = role.because
        }
    }

    static func line(_ smurf: Board.SmurfLine) -> Smurffarm_V1_SmurfLine {
        .with {
            $0.smurf = smurf.id.name
            $0.addresses = smurf.record.addresses.map(\.description)
            $0.role = smurf.record.role?.name ?? ""
            $0.state = state(smurf.record.state, isHeld: smurf.isHeld)
            $0.secondsInState = smurf.secondsInState
            $0.healthy = smurf.isUp
            $0.connections = UInt32(clamping: smurf.connections)
            $0.rate = smurf.rate
            $0.reason = smurf.record.reason
            $0.trouble = smurf.trouble
            $0.labels = smurf.record.labels.map(\.text)
            $0.words = smurf.words.map { word in
                .with {
                    $0.word = word.text
                    $0.secondsLeft = word.secondsLeft
                    $0.reason = word.reason
                    $0.operator = word.by
                }
            }
        }
    }

    /// - Parameter isHeld: by an operator; shown once the machine has nothing to do any more.
    static func state(_ state: SmurfRecord.State, isHeld: Bool) -> Smurffarm_V1_RoleState {
        switch state {
        case .joining: .joining
        case .idle: isHeld ? .held : .idle
        case .warming: .warming
        case .serving: .serving
        case .draining: .draining
        case .quarantined: .quarantined
        }
    }
}
