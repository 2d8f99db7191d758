namespace Quorumail.Core.Queue;

/// <summary>How many messages stand where. Each message counts once.</summary>
/// <param name="Queued">No attempt has begun.</param>
/// <param name="Attempting">A recipient has an open attempt.</param>
/// <param name="Deferred">None has an open attempt, and at least one attempt has been made.</param>
/// <param name="Octets">Octets of all queued bodies.</param>
public readonly record struct QueueCounts(int Queued, int Attempting, int Deferred, long Octets)
{
    /// <summary>Held by an operator; these count nowhere else, unless an attempt is open.</summary>
    public int Held { get; init; }

    /// <summary>All messages.</summary>
    public int Total => Queued + Attempting + Deferred + Held;
}
