namespace Quorumail.Core.Cluster;

/// <summary>
/// What a node says of its replicated state: a hash of how a stretch of the log was applied there. Equal logs must give equal
/// hashes; a node whose hash is another one has another state.
/// </summary>
/// <param name="UpTo">Index of the last entry of the stretch, which ends the same everywhere.</param>
/// <param name="Hash">Of the entries' times and of what was answered to their commands.</param>
public readonly record struct StateClaim(long UpTo, ulong Hash);
