namespace Quorumail.Server.Storage;

/// <summary>The data directory or its disk can't be used. The message is for the operator and says what to do.</summary>
public class StorageException : Exception
{
    public StorageException()
    {
    }

    public StorageException(string message)
        : base(message)
    {
    }

    public StorageException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
