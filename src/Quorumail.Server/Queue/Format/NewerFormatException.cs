namespace Quorumail.Server.Queue.Format;

/// <summary>A record that a later version wrote, and that this one would misunderstand: the node must not go on.</summary>
internal sealed class NewerFormatException(byte found, byte known) : Exception(
    $"The queue holds a record of format {found}, but this version knows formats up to {known}: start the version that wrote it.");
