using System.Diagnostics.CodeAnalysis;
using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>
/// One of a limited number of connections, leased by the log and kept leased while it is used. Its connection ends when <see cref="Lost"/>
/// says so, and is handed back by <see cref="Close"/> once there is none any more.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A source without a timer holds nothing that must be disposed of.")]
internal sealed class ConnectionSlot(SharedLimits limits, HeldSlot held, long since)
{
    /// <summary>After this the slot is given up at the next opportunity, in milliseconds, so that other nodes have their turn.</summary>
    private const long Tenure = 10_000;

    /// <summary>How long the other end may take to see that a connection has ended which it did not end itself.</summary>
    public static readonly TimeSpan UnseenTime = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _lost = new();

    /// <summary>Ended when the lease could not be kept: its connection must be closed at once.</summary>
    public CancellationToken Lost => _lost.Token;

    /// <summary>What the log has granted.</summary>
    internal HeldSlot Held { get; } = held;

    /// <summary>Nothing may use it before, in milliseconds of cluster time: the other end may not have seen the end of the last connection.</summary>
    internal long UsableAt { get; set; }

    /// <summary>Whether the log is asked to keep it.</summary>
    internal bool IsAsked { get; set; }

    /// <summary>Whether the node's own share has become smaller: it ends at the next opportunity.</summary>
    internal bool IsGivenUp { get; set; }

    /// <summary>Whether another node should have its turn.</summary>
    public bool IsOver => IsOverAt(limits.Now);

    /// <summary>Its connection is closed.</summary>
    /// <param name="isSeen">Whether the other end has closed it, too.</param>
    public void Close(bool isSeen) => limits.Close(this, isSeen);

    /// <summary>Whether another node should have its turn at a time.</summary>
    internal bool IsOverAt(long now) => IsGivenUp || (Held.Number != 0 && now - since >= Tenure);

    /// <summary>Ends its connection. Runs what waits for that, so nothing may be locked.</summary>
    internal void Lose() => _lost.Cancel();
}
