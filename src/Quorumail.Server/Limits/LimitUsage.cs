using Quorumail.Core.Limits;

namespace Quorumail.Server.Limits;

/// <summary>How much of a limit is granted now.</summary>
/// <param name="Limit">Which limit.</param>
/// <param name="Keys">Keys for which something is granted.</param>
/// <param name="Granted">Tokens or connections of all keys.</param>
/// <param name="Fullest">The key of which the most is granted; null for none.</param>
/// <param name="FullestGranted">How much that is.</param>
internal readonly record struct LimitUsage(LimitDefinition Limit, int Keys, long Granted, string? Fullest, int FullestGranted);
