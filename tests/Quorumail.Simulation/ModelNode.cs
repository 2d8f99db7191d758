using Quorumail.Core.Delivery;
using Quorumail.Core.Mail;
using Quorumail.Core.Queue;

namespace Quorumail.Simulation;

/// <summary>One life of a node, as its delivery worker sees it.</summary>
internal abstract class ModelNode(string name, Simulator simulator, Oracle oracle, ModelDisk disk, PlantedFault fault)
{
    public string Name { get; } = name;

    public Simulator Simulator { get; } = simulator;

    public Oracle Oracle { get; } = oracle;

    public ModelDisk Disk { get; } = disk;

    public PlantedFault Fault { get; } = fault;

    public abstract QueueState State { get; }

    /// <summary>Cluster time as it sees it.</summary>
    public virtual long ClusterTime => Simulator.Now;

    public abstract bool IsAlive { get; }

    /// <summary>What happens later in this life, unless it has ended by then.</summary>
    public abstract void After(long milliseconds, Action action);

    /// <summary>Proposes a command; the answer is null when nothing is known to be applied.</summary>
    public abstract void Propose(QueueCommand command, Action<ApplyStatus?> answer);

    /// <summary>A body that this disk should have and lacks, from another node.</summary>
    public virtual ModelBody? Fetch(QueueId id) => null;

    /// <summary>Makes notices durable, on as many disks as it takes.</summary>
    public abstract void Store(IReadOnlyList<NoticePlan> notices, Action<IReadOnlyList<EnqueueCommand>> stored);

    public void ProposeUntilKnown(QueueCommand command, Action? then = null) => Propose(command, status =>
    {
        if (status is null)
        {
            After(Simulator.Between(100, 3000), () => ProposeUntilKnown(command, then));
        }
        else
        {
            then?.Invoke();
        }
    });
}
