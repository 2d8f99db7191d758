using System.Buffers;

namespace Quorumail.Server.Logging;

/// <summary>Renders an event as one line of UTF-8, its line end included. Used by one thread.</summary>
internal interface ILogFormatter
{
    /// <summary>Appends the line to <paramref name="output"/>.</summary>
    void Write(in LogEntry entry, IBufferWriter<byte> output);
}
