from tests.kafka import kafka_broker as kafka_broker
