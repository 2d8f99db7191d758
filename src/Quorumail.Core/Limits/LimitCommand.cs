namespace Quorumail.Core.Limits;

/// <summary>A change to the cluster's limits, as it stands in the replicated log.</summary>
public abstract record LimitCommand
{
    private protected LimitCommand()
    {
    }
}

/// <summary>
/// Defines a limit, or changes it. What was granted under another definition counts on: a lower capacity holds at once for
/// grants, a new kind or period only when nothing is granted any more (<see cref="LimitStatus.Busy"/> until then).
/// </summary>
/// <param name="Definition">From now on.</param>
/// <param name="KeepsShares">
/// What was reserved for a node and is no more stays so until the node has <see cref="AdoptShareCommand">adopted</see> the new share,
/// and in a window that is open then: it may have used it. Not known before feature level 4.
/// </param>
public sealed record DefineLimitCommand(LimitDefinition Definition, bool KeepsShares = false) : LimitCommand;

/// <summary>There is no such limit any more. What is granted of it counts until its end, should the limit come back.</summary>
public sealed record RemoveLimitCommand(string Limit) : LimitCommand;

/// <summary>
/// The cluster's members have changed, by node name. New ones have the new share at once; the others keep theirs until they
/// <see cref="AdoptShareCommand">adopt</see> the new one, because they may not have heard of it.
/// </summary>
public sealed record LimitNodesCommand(IReadOnlyList<string> Nodes) : LimitCommand;

/// <summary>A node goes by this number of members from now on, and has no more connections open than its share then allows.</summary>
/// <param name="Node">The node.</param>
/// <param name="Members">How many there are.</param>
/// <param name="Shares">The highest <see cref="LimitShare.Number"/> of its own that it uses no more; 0: none.</param>
public sealed record AdoptShareCommand(string Node, int Members, long Shares = 0) : LimitCommand;

/// <summary>
/// Asks for tokens; the answer tells how many there are, 0 to <paramref name="Count"/>. They are spent when granted, whether
/// or not they are used, and may be used until the answer's end. An answer that is lost means tokens that are lost until then.
/// </summary>
public sealed record WantTokensCommand(string Limit, string Key, string Node, int Count) : LimitCommand;

/// <summary>Gives back tokens that were granted and will not be used. Proposed once; of unknown outcome, they are given up.</summary>
/// <param name="Limit">Of which limit.</param>
/// <param name="Key">Of which key.</param>
/// <param name="Node">Who had them.</param>
/// <param name="Until">The end of their window, as the grant's answer had it.</param>
/// <param name="Count">How many.</param>
public sealed record ReturnTokensCommand(string Limit, string Key, string Node, long Until, int Count) : LimitCommand;

/// <summary>Asks for a connection slot; the answer has its number and the end of its lease, before which the connection is closed.</summary>
public sealed record WantSlotCommand(string Limit, string Key, string Node) : LimitCommand;

/// <summary>Leases a slot for another period from now. Refused (<see cref="LimitStatus.Expired"/>) if its lease has ended.</summary>
public sealed record KeepSlotCommand(string Limit, string Key, string Node, long Slot) : LimitCommand;

/// <summary>Gives a slot back: its connection is closed.</summary>
public sealed record FreeSlotCommand(string Limit, string Key, string Node, long Slot) : LimitCommand;
