using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>
/// The replicated log's contract, not its workings: one order, durable once committed, and proposals that commit, are
/// refused, or stay unknown: then they commit later, or not at all, even in another life of the node.
/// </summary>
internal sealed class ModelLog(Simulator simulator, Oracle oracle)
{
    public const long ProposalTimeout = 10_000;

    private readonly List<(QueueCommand Command, long Stamp)> _committed = [];

    public IReadOnlyList<(QueueCommand Command, long Stamp)> Committed => _committed;

    /// <summary>Faults may happen.</summary>
    public bool IsFaulty { get; set; } = true;

    /// <summary>No quorum until then.</summary>
    public long OutageUntil { get; set; }

    /// <summary>The node that is up, or null.</summary>
    public ModelServer? Server { get; set; }

    /// <summary>Proposes a command; the answer is null when nothing is known to be applied.</summary>
    public void Propose(ModelServer from, QueueCommand command, Action<ApplyStatus?> answer)
    {
        var fate = IsFaulty ? simulator.Random.NextDouble() * 100 : 100;
        var outage = simulator.Now < OutageUntil;
        if (fate < 3 || (outage && fate < 40))
        {
            simulator.After(simulator.Between(1, 50), () => Answer(from, answer, null));
        }
        else if (fate < 6 || (outage && fate < 70))
        {
            simulator.After(ProposalTimeout, () => Answer(from, answer, null));
        }
        else if (fate < 12 || outage)
        {
            // Unknown to the proposer; commits at any time, before or after it stops waiting.
            simulator.After(simulator.Between(1, 120_000), () => Commit(from, command));
            simulator.After(ProposalTimeout, () => Answer(from, answer, null));
        }
        else
        {
            simulator.After(simulator.Between(1, 30), () => Answer(from, answer, Commit(from, command)));
        }
    }

    private ApplyStatus? Commit(ModelServer from, QueueCommand command)
    {
        // Of what a lost life has proposed, some commits and some does not.
        if (!ReferenceEquals(from, Server) && simulator.Chance(50))
        {
            return null;
        }

        _committed.Add((command, simulator.Now));
        var status = oracle.Committed(command, simulator.Now);
        if (Server is { } server && server.Committed(command, simulator.Now) is { } own && own != status)
        {
            throw new BrokenPromiseException($"the same command was answered {own} here and {status} there");
        }

        return status;
    }

    private void Answer(ModelServer from, Action<ApplyStatus?> answer, ApplyStatus? status)
    {
        if (ReferenceEquals(from, Server))
        {
            answer(status);
        }
    }
}
