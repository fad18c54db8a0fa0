import Farm
import FarmProtocol
import RoleScheduler
import RoleSchedulerCore
import SwiftProtobuf

/// The scheduler's explanation in the words of the protocol.
struct ExplanationSource {
    let scheduler: RoleSchedulerService
    let zone: String

    /// - Parameter subject: a role's or machine's name; empty for all roles.
    /// - Throws: `OverrideError` when there is neither.
    func view(of subject: String) async throws -> Smurffarm_V1_ExplainView {
        let explanation = try await scheduler.explain(subject)
        return .with {
            $0.zone = zone
            $0.roles = explanation.roles.map(ExplanationSource.account)
            $0.smurfs = explanation.smurfs.map { smurf in
                .with {
                    $0.smurf = BoardSource.line(smurf.line)
                    $0.roles = smurf.roles.map { answer in
                        .with {
                            $0.role = answer.role.name
                            if let why = answer.why {
                                $0.why = ExplanationSource.reason(why.reason)
                            }
                        }
                    }
                    $0.changes = smurf.changes.map(ExplanationSource.line)
                }
            }
            $0.notes = explanation.notes
            $0.phase = explanation.phase ?? ""
        }
    }

    private static func account(
        _ account: FarmExplanation.RoleAccount
    ) -> Smurffarm_V1_RoleAccount {
        .with {
            let role = account.rule.role
            $0.role = role.name
            $0.priority = UInt32(clamping: account.rule.priority)
            $0.minimum = UInt32(clamping: account.rule.min)
            $0.maximum = UInt32(clamping: account.rule.max ?? 0)
            $0.passedOver = account.passedOver.map { passed in
                .with {
                    $0.smurf = passed.smurf.name
                    $0.member = passed.isMember
                    if let why = passed.why { $0.why = reason(why.reason) }
                }
            }
            $0.changes = account.changes.map(line)
            guard let explained = account.explanation else { return }
            $0.planned = true
            $0.raw = raw(explained.raw)
            $0.wanted = UInt32(clamping: explained.wanted)
            $0.stabilised = UInt32(clamping: explained.setpoint)
            $0.target = UInt32(clamping: explained.target)
            $0.assigned = UInt32(clamping: explained.assigned)
            $0.serving = UInt32(clamping: explained.serving)
            $0.bound = reason(explained.bound.reason)
            if let delay = explained.delay { $0.delay = reason(delay.reason) }
        }
    }

    private static func raw(_ raw: RawDemand) -> Smurffarm_V1_RawDemand {
        .with {
            $0.text = raw.text
            $0.members = raw.members
            $0.missing = raw.missing
            guard let formula = raw.formula else { return }
            $0.sized = true
            $0.arrival = formula.arrival
            $0.measured = formula.measured ?? 0
            $0.predicted = formula.predicted ?? 0
            $0.backlog = formula.backlog
            $0.seconds = formula.seconds
            $0.capacity = formula.capacity
            $0.utilisation = formula.utilisation
        }
    }

    private static func reason(_ reason: Reason) -> Smurffarm_V1_Reason {
        .with {
            $0.code = reason.code
            $0.text = reason.text
            $0.role = reason.role?.name ?? ""
            $0.value = reason.value ?? 0
        }
    }

    static func line(_ entry: HistoryEntry) -> Smurffarm_V1_HistoryLine {
        .with {
            $0.unixMs = entry.unixMilliseconds
            $0.smurf = entry.smurf?.name ?? ""
            $0.from = entry.from
            $0.to = entry.to
            $0.who = entry.who
            $0.why = entry.why
            $0.version = entry.version
            $0.node = entry.node
        }
    }
}
