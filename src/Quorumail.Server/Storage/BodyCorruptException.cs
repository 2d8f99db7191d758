using Quorumail.Core.Mail;

namespace Quorumail.Server.Storage;

/// <summary>What the disk gave back is not what was written. Such a body is never delivered.</summary>
public sealed class BodyCorruptException : StorageException
{
    public BodyCorruptException()
    {
    }

    public BodyCorruptException(string message)
        : base(message)
    {
    }

    public BodyCorruptException(string message, Exception innerException)
        : base(message, innerException)
    {
    }

    internal BodyCorruptException(QueueId id, string what, Exception? innerException = null)
        : base($"The body of message {id} is damaged on this disk: {what}.", innerException!)
    {
        Id = id;
    }

    /// <summary>The message.</summary>
    public QueueId Id { get; }
}
