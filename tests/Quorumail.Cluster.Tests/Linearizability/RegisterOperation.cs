namespace Quorumail.Cluster.Tests.Linearizability;

public enum RegisterAction
{
    Read,
    Set,
    Delete,

    /// <summary>Sets if the value is the expected one (null: if there is none).</summary>
    CompareAndSet,
}

public enum RegisterOutcome
{
    /// <summary>Answered: it took effect between call and return, and <see cref="RegisterOperation.Result"/> is what it said.</summary>
    Answered,

    /// <summary>It certainly had no effect.</summary>
    Refused,

    /// <summary>It may have taken effect at any time after the call, or may never do.</summary>
    Unknown,
}

/// <summary>One operation of one client on one key, as the client saw it.</summary>
public sealed record RegisterOperation(string Key, RegisterAction Action)
{
    /// <summary>Who; for messages only.</summary>
    public string Client { get; init; } = "";

    /// <summary>The value to be set.</summary>
    public string? Argument { get; init; }

    /// <summary>The value that a compare-and-set expects.</summary>
    public string? Expected { get; init; }

    public RegisterOutcome Outcome { get; init; }

    /// <summary>Read: the value, null if there was none.</summary>
    public string? Result { get; init; }

    /// <summary>Compare-and-set: whether it was done.</summary>
    public bool IsDone { get; init; } = true;

    /// <summary>Time of the call, on a clock that all clients share.</summary>
    public long Called { get; init; }

    /// <summary>Time of the return.</summary>
    public long Returned { get; init; }

    public override string ToString() =>
        $"[{Called}..{(Outcome == RegisterOutcome.Unknown ? "?" : Returned)}] {Client} {Key}: {Action}" + Action switch
        {
            RegisterAction.Read => $" = {Result ?? "none"}",
            RegisterAction.Set => $" {Argument}",
            RegisterAction.CompareAndSet => $" {Expected ?? "none"} -> {Argument}: {(IsDone ? "done" : "not done")}",
            _ => "",
        } + (Outcome == RegisterOutcome.Answered ? "" : $" ({Outcome})");
}
