using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>Someone who now and then holds, releases, requeues and deletes messages, suspends and resumes, by any node; in the end lets everything go.</summary>
internal sealed class ModelOperator(Simulator simulator, Oracle oracle, ClusterLog log)
{
    private const int Pause = 240_000;

    /// <summary>Goes on as long as there may be faults.</summary>
    public void Begin() => simulator.After(simulator.Between(1, Pause), () =>
    {
        if (log.IsFaulty)
        {
            Tell(Choose());
            Begin();
        }
    });

    /// <summary>Releases and resumes whatever there is, again and again: what was said before may be heard later.</summary>
    public void LetGo()
    {
        QueueId[] held = [.. oracle.State.Messages.Where(m => m.IsHeld).Select(m => m.Id).Order()];
        if (held.Length > 0)
        {
            Tell(new AdministerCommand(QueueAction.Release, new QueueSelection { Ids = held }));
        }

        foreach (var suspension in oracle.State.Suspensions)
        {
            Tell(new ResumeCommand(suspension.Scope, suspension.Name));
        }

        simulator.After(10 * 60_000, LetGo);
    }

    private QueueCommand Choose()
    {
        var domain = ModelNextHops.Domains[simulator.Random.Next(ModelNextHops.Domains.Count)];
        QueueId[] ids = [.. oracle.State.Messages.Select(m => m.Id).Order().Where(_ => simulator.Chance(50))];
        return simulator.Random.Next(10) switch
        {
            0 or 1 or 2 => Administer(QueueAction.Hold, ids),
            3 => Administer(QueueAction.Release, ids),
            4 or 5 => Administer(QueueAction.Requeue, ids),
            6 => Administer(QueueAction.Delete, [.. ids.Where(IsFromClient).Take(1)]),
            7 => new SuspendCommand(SuspensionScope.Sender, $"someone@{ModelNextHops.Senders}", "", log.ClusterTime + 100_000),
            8 => new SuspendCommand(SuspensionScope.Destination, domain, "", simulator.Chance(50) ? log.ClusterTime + simulator.Between(100_000, 600_000) : 0),
            _ => new ResumeCommand(SuspensionScope.Destination, domain),
        };
    }

    // A notice that is deleted tells nobody of a failure.
    private bool IsFromClient(QueueId id) => oracle.Submissions.Any(s => s.Id == id);

    private static AdministerCommand Administer(QueueAction action, QueueId[] ids) => new(action, new QueueSelection { Ids = ids });

    private void Tell(QueueCommand command)
    {
        var ready = log.Servers.Values.Where(s => s.IsReady).ToArray();
        if (ready.Length > 0)
        {
            ready[simulator.Random.Next(ready.Length)].Propose(command, _ => { });
        }
    }
}
